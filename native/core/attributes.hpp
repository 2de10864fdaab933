// Attributes of a call, read from JSON once, when a program is loaded.
#pragma once
#include <memory>

#include "json.hpp"
#include "kernel.hpp"

namespace braid {

// Throws std::invalid_argument for anything but flat numbers, texts, booleans, lists of numbers and lists of ranges.
std::unique_ptr<Attributes> readAttributes(const Json& json);

}  // namespace braid
