#pragma once
#include "testing.hpp"

namespace braid::testing {

void testJson();
void testPool();
void testMath();
void testProgram();
void testGemm();

// Speed of the matrix product, for measurements: `run bench [isa] [threads]`.
int bench(const std::vector<std::string>& arguments);

}  // namespace braid::testing
