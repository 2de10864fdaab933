// The grouped convolution tap by tap. Sixteen channels stand in the lanes; sums of several positions stay in registers while
// the taps pass by, each loaded once for all of them.
#pragma once
#include "filter.hpp"

namespace braid::BRAID_VARIANT {

// Both take all rows and channels on all threads of the team; outputs that nobody reads are left out.
void convolveDirect(const Call& call, const Filter& f);
void convolveDirectBack(const Call& call, const Filter& f);

// Gradients of the taps from sums over positions of every channel, sums[lag · stride + channel].
void addGroups(Team& team, const Filter& f, const float* sums, int64_t stride, const Sink& dTaps);

}  // namespace braid::BRAID_VARIANT
