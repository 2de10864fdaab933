// A strict reader of JSON (RFC 8259): no comments, no trailing commas, no duplicate keys, bounded depth.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace braid {

class Json {
 public:
  enum class Kind { null, boolean, number, text, array, object };

  // Throws std::invalid_argument, naming the byte where reading stopped.
  static Json parse(std::string_view source);

  Kind kind() const { return kind_; }
  bool isNull() const { return kind_ == Kind::null; }

  // Each throws std::invalid_argument when the value is of another kind; `what` names it in the message.
  bool boolean(const char* what) const;
  double number(const char* what) const;
  int64_t integer(const char* what) const;  // whole and at most 2^53
  const std::string& text(const char* what) const;
  const std::vector<Json>& array(const char* what) const;
  const std::vector<std::pair<std::string, Json>>& object(const char* what) const;

  const Json* find(const char* key) const;  // of an object; null when absent
  const Json& get(const char* key) const;   // throws when absent

 private:
  friend class JsonReader;
  Kind kind_ = Kind::null;
  bool boolean_ = false;
  double number_ = 0;
  std::string text_;
  std::vector<Json> array_;
  std::vector<std::pair<std::string, Json>> object_;
};

}  // namespace braid
