// The grouped convolution as products of Toeplitz factors with blocks of the input (Ku et al. 2025, arXiv:2503.01868, section
// 3). A factor is never built: its elements stand on diagonals, so a row of taps with zeros on both sides, read with stride
// 1 down and −1 across, is the factor.
#pragma once
#include "filter.hpp"

namespace braid::BRAID_VARIANT {

// Both take all rows and channels on all threads of the team; outputs that nobody reads are left out.
void convolveBlocked(const Call& call, const Filter& f);
void convolveBlockedBack(const Call& call, const Filter& f);

}  // namespace braid::BRAID_VARIANT
