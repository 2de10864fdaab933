#include "attributes.hpp"

#include <map>
#include <stdexcept>
#include <variant>

namespace braid {
namespace {

using Numbers = std::vector<int64_t>;
using Ranges = std::vector<std::vector<int64_t>>;
using Value = std::variant<double, bool, std::string, Numbers, Ranges>;

class ParsedAttributes final : public Attributes {
 public:
  bool has(const char* name) const override { return values_.count(name) > 0; }
  double number(const char* name) const override { return get<double>(name, "a number"); }
  bool flag(const char* name) const override { return get<bool>(name, "a boolean"); }
  const std::string& text(const char* name) const override { return get<std::string>(name, "a text"); }
  const Ranges& ranges(const char* name) const override { return get<Ranges>(name, "a list of ranges"); }
  const Numbers& numbers(const char* name) const override { return get<Numbers>(name, "a list of numbers"); }

  void set(const std::string& name, Value value) { values_[name] = std::move(value); }

 private:
  template <typename T>
  const T& get(const char* name, const char* expected) const {
    const auto found = values_.find(name);
    if (found == values_.end()) throw std::invalid_argument("attribute '" + std::string(name) + "' is missing.");
    const T* value = std::get_if<T>(&found->second);
    // An empty list is read as numbers; it is as good a list of ranges.
    if constexpr (std::is_same_v<T, Ranges>) {
      static const Ranges none;
      const Numbers* numbers = std::get_if<Numbers>(&found->second);
      if (value == nullptr && numbers != nullptr && numbers->empty()) return none;
    }
    if (value == nullptr) {
      throw std::invalid_argument("attribute '" + std::string(name) + "' must be " + expected + ".");
    }
    return *value;
  }

  std::map<std::string, Value> values_;
};

// Numbers at any depth, in order: [[0, 2], [4, 6]] and [0, 2, 4, 6] are the same ranges.
void flatten(const Json& json, Numbers& into) {
  if (json.kind() == Json::Kind::number) {
    into.push_back(json.integer("a number of a list"));
    return;
  }
  for (const Json& item : json.array("an item of a list")) flatten(item, into);
}

Value readList(const std::vector<Json>& items) {
  if (items.empty() || items.front().kind() == Json::Kind::number) {
    Numbers numbers;
    for (const Json& item : items) numbers.push_back(item.integer("a number of a list"));
    return numbers;
  }
  Ranges ranges;
  for (const Json& item : items) {
    Numbers part;
    flatten(item, part);
    if (part.size() % 2 != 0) throw std::invalid_argument("a list of ranges has an odd count of numbers.");
    ranges.push_back(std::move(part));
  }
  return ranges;
}

}  // namespace

std::unique_ptr<Attributes> readAttributes(const Json& json) {
  auto attributes = std::make_unique<ParsedAttributes>();
  for (const auto& [name, value] : json.object("attributes")) {
    switch (value.kind()) {
      case Json::Kind::number: attributes->set(name, value.number(name.c_str())); break;
      case Json::Kind::boolean: attributes->set(name, value.boolean(name.c_str())); break;
      case Json::Kind::text: attributes->set(name, value.text(name.c_str())); break;
      case Json::Kind::array: attributes->set(name, readList(value.array(name.c_str()))); break;
      case Json::Kind::null:
      case Json::Kind::object:
        throw std::invalid_argument("attribute '" + name + "' must be a number, text, boolean or list.");
    }
  }
  return attributes;
}

}  // namespace braid
