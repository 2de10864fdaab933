#include "../core/attributes.hpp"
#include "../core/json.hpp"
#include "tests.hpp"

namespace braid::testing {

void testJson() {
  const Json value = Json::parse(R"( {"a": [1, -2.5e3, true, null], "b": {"c": "x\n\u00e9\ud83d\ude00"}} )");
  const auto& list = value.get("a").array("a");
  check(list.size() == 4 && list[1].number("n") == -2500 && list[2].boolean("b") && list[3].isNull(), "values");
  check(value.get("b").get("c").text("c") == "x\n\xc3\xa9\xf0\x9f\x98\x80", "escapes become UTF-8");
  check(value.find("z") == nullptr, "an absent key");

  for (const char* bad : {"", "{", "[1,]", "{\"a\":1,}", "{'a':1}", "[1 2]", "01", "1.", "+1", ".5", "1e", "nul", "\"\x01\"",
                          "\"\\q\"", "\"\\u12\"", "\"open", "[1] 2", "{\"a\":1,\"a\":2}", "NaN", "Infinity", "\"\\ud800\"x"}) {
    const std::string source = bad;
    if (source == "\"\\ud800\"x") {
      check(contains(thrown(source, [&] { Json::parse(source); }), "byte"), source);
      continue;
    }
    check(contains(thrown("'" + source + "'", [&] { Json::parse(source); }), "Not valid JSON"), source);
  }
  check(contains(thrown("depth", [] { Json::parse(std::string(100, '[')); }), "64 levels"), "depth is bounded");
  check(contains(thrown("kind", [&] { value.get("a").text("name"); }), "name must be a text, not a list"), "kind is named");
  check(contains(thrown("whole", [&] { Json::parse("1.5").integer("size"); }), "size must be a whole number"), "whole");

  const auto attributes = readAttributes(Json::parse(
      R"({"epsilon": 1e-5, "kind": "silu", "transposeB": true, "sizes": [1, 2], "ranges": [[[0, 2], [4, 6]], [[2, 4]], []]})"));
  check(attributes->number("epsilon") == 1e-5 && attributes->text("kind") == "silu", "scalars");
  check(attributes->flag("transposeB") && !attributes->flagOr("transposeA", false), "flags");
  check(attributes->numbers("sizes") == std::vector<int64_t>{1, 2}, "numbers");
  const auto& ranges = attributes->ranges("ranges");
  check(ranges.size() == 3 && ranges[0] == std::vector<int64_t>{0, 2, 4, 6} && ranges[2].empty(), "ranges");
  check(contains(thrown("missing", [&] { attributes->number("theta"); }), "'theta' is missing"), "missing attribute");
  check(contains(thrown("kind", [&] { attributes->number("kind"); }), "must be a number"), "wrong kind of attribute");
  check(contains(thrown("null", [] { readAttributes(Json::parse(R"({"a": null})")); }), "'a'"), "null attribute");
}

}  // namespace braid::testing
