#include "json.hpp"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>

namespace braid {
namespace {

constexpr int kMaxDepth = 64;

const char* nameOf(Json::Kind kind) {
  switch (kind) {
    case Json::Kind::null: return "null";
    case Json::Kind::boolean: return "a boolean";
    case Json::Kind::number: return "a number";
    case Json::Kind::text: return "a text";
    case Json::Kind::array: return "a list";
    case Json::Kind::object: return "an object";
  }
  return "";
}

bool isDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

class JsonReader {
 public:
  explicit JsonReader(std::string_view source) : source_(source) {}

  Json document() {
    Json value = read(0);
    skipSpace();
    if (at_ != source_.size()) fail("nothing more");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* expected) const {
    throw std::invalid_argument("Not valid JSON: expected " + std::string(expected) + " at byte " +
                                std::to_string(at_) + " of " + std::to_string(source_.size()) + ".");
  }
  char peek() const { return at_ < source_.size() ? source_[at_] : '\0'; }
  void skipSpace() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') at_++;
  }
  void expect(char c, const char* name) {
    skipSpace();
    if (peek() != c) fail(name);
    at_++;
  }
  bool accept(char c) {
    skipSpace();
    if (peek() != c) return false;
    at_++;
    return true;
  }
  void word(std::string_view w) {
    if (source_.substr(at_, w.size()) != w) fail("a value");
    at_ += w.size();
  }

  Json read(int depth) {
    if (depth > kMaxDepth) fail("at most 64 levels");
    skipSpace();
    Json value;
    switch (peek()) {
      case 'n': word("null"); return value;
      case 't':
      case 'f':
        value.kind_ = Json::Kind::boolean;
        value.boolean_ = peek() == 't';
        word(value.boolean_ ? "true" : "false");
        return value;
      case '"':
        value.kind_ = Json::Kind::text;
        value.text_ = text();
        return value;
      case '[': readArray(value, depth); return value;
      case '{': readObject(value, depth); return value;
      default:
        value.kind_ = Json::Kind::number;
        value.number_ = number();
        return value;
    }
  }

  void readArray(Json& value, int depth) {
    value.kind_ = Json::Kind::array;
    at_++;
    if (accept(']')) return;
    do {
      value.array_.push_back(read(depth + 1));
    } while (accept(','));
    expect(']', "',' or ']'");
  }

  void readObject(Json& value, int depth) {
    value.kind_ = Json::Kind::object;
    at_++;
    if (accept('}')) return;
    do {
      skipSpace();
      if (peek() != '"') fail("a key");
      std::string key = text();
      if (value.find(key.c_str()) != nullptr) fail("another key (this one came before)");
      expect(':', "':'");
      value.object_.emplace_back(std::move(key), read(depth + 1));
    } while (accept(','));
    expect('}', "',' or '}'");
  }

  double number() {
    const size_t start = at_;
    if (peek() == '-') at_++;
    if (!isDigit(peek())) fail("a value");
    if (peek() == '0') {
      at_++;
    } else {
      while (isDigit(peek())) at_++;
    }
    if (peek() == '.') {
      at_++;
      if (!isDigit(peek())) fail("a digit");
      while (isDigit(peek())) at_++;
    }
    if (peek() == 'e' || peek() == 'E') {
      at_++;
      if (peek() == '+' || peek() == '-') at_++;
      if (!isDigit(peek())) fail("a digit");
      while (isDigit(peek())) at_++;
    }
    return std::strtod(std::string(source_.substr(start, at_ - start)).c_str(), nullptr);
  }

  uint32_t hex4() {
    uint32_t code = 0;
    for (int i = 0; i < 4; i++) {
      const char c = peek();
      const int digit = isDigit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
      if (digit < 0) fail("four hexadecimal digits");
      code = code * 16 + static_cast<uint32_t>(digit);
      at_++;
    }
    return code;
  }

  void appendUtf8(std::string& out, uint32_t code) {
    if (code < 0x80) {
      out += static_cast<char>(code);
      return;
    }
    const int extra = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    constexpr uint32_t lead[4] = {0, 0xc0, 0xe0, 0xf0};
    out += static_cast<char>(lead[extra] | (code >> (6 * extra)));
    for (int i = extra - 1; i >= 0; i--) out += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3f));
  }

  void escape(std::string& out) {
    const char c = peek();
    at_++;
    switch (c) {
      case '"': case '\\': case '/': out += c; return;
      case 'b': out += '\b'; return;
      case 'f': out += '\f'; return;
      case 'n': out += '\n'; return;
      case 'r': out += '\r'; return;
      case 't': out += '\t'; return;
      case 'u': {
        uint32_t code = hex4();
        if (code >= 0xd800 && code < 0xdc00 && source_.substr(at_, 2) == "\\u") {
          at_ += 2;
          code = 0x10000 + ((code - 0xd800) << 10) + (hex4() - 0xdc00);
        }
        if (code > 0x10ffff) fail("the second half of a character");
        appendUtf8(out, code);
        return;
      }
      default: at_--; fail("an escape");
    }
  }

  std::string text() {
    at_++;
    std::string out;
    for (;;) {
      if (at_ >= source_.size()) fail("'\"'");
      const char c = source_[at_];
      if (static_cast<unsigned char>(c) < 0x20) fail("no control character");
      at_++;
      if (c == '"') return out;
      if (c == '\\') {
        escape(out);
      } else {
        out += c;
      }
    }
  }

  std::string_view source_;
  size_t at_ = 0;
};

Json Json::parse(std::string_view source) { return JsonReader(source).document(); }

namespace {
[[noreturn]] void wrongKind(const char* what, const char* expected, Json::Kind given) {
  throw std::invalid_argument(std::string(what) + " must be " + expected + ", not " + nameOf(given) + ".");
}
}  // namespace

bool Json::boolean(const char* what) const {
  if (kind_ != Kind::boolean) wrongKind(what, "a boolean", kind_);
  return boolean_;
}
double Json::number(const char* what) const {
  if (kind_ != Kind::number) wrongKind(what, "a number", kind_);
  return number_;
}
int64_t Json::integer(const char* what) const {
  const double x = number(what);
  if (x != std::floor(x) || std::fabs(x) > 9007199254740992.0) {
    throw std::invalid_argument(std::string(what) + " must be a whole number, not " + std::to_string(x) + ".");
  }
  return static_cast<int64_t>(x);
}
const std::string& Json::text(const char* what) const {
  if (kind_ != Kind::text) wrongKind(what, "a text", kind_);
  return text_;
}
const std::vector<Json>& Json::array(const char* what) const {
  if (kind_ != Kind::array) wrongKind(what, "a list", kind_);
  return array_;
}
const std::vector<std::pair<std::string, Json>>& Json::object(const char* what) const {
  if (kind_ != Kind::object) wrongKind(what, "an object", kind_);
  return object_;
}
const Json* Json::find(const char* key) const {
  for (const auto& [name, value] : object_) {
    if (name == key) return &value;
  }
  return nullptr;
}
const Json& Json::get(const char* key) const {
  if (kind_ != Kind::object) wrongKind(key, "the key of an object", kind_);
  const Json* value = find(key);
  if (value == nullptr) throw std::invalid_argument("'" + std::string(key) + "' is missing.");
  return *value;
}

}  // namespace braid
