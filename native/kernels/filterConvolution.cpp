// The grouped causal convolution, forward, and the new window.
#include "filter.hpp"
#include "filterBlocked.hpp"
#include "filterDirect.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// The last inputs. Runs from the oldest on, so that a short piece may shift the window in place.
void nextWindow(const Filter& f, int64_t row, const Sink& next) {
  const int64_t start = f.documentStart(row, f.length - 1);
  for (int64_t s = f.length - f.reach; s < f.length; s++) {
    const int64_t to = f.windowAt(row, s - f.length);
    for (int64_t first = 0; first < f.channels; first += kWidth) {
      next.store(to + first, s < start ? zero() : f.input(row, s, first), f.lanes(first));
    }
  }
}

void filterConvolution(const Call& call) {
  const Filter f(call);
  if (call.out(0)) {
    if (call.attributes.text("algorithm") == "direct") {
      convolveDirect(call, f);
    } else {
      convolveBlocked(call, f);
    }
  }
  const Sink next = call.out(1);
  for (int64_t row = 0; next && row < f.batch; row++) nextWindow(f, row, next);
  f.history.storeLast(call.out(2));
}

void filterConvolutionBackward(const Call& call) {
  const Filter f(call);
  if (call.attributes.text("algorithm") == "direct") {
    convolveDirectBack(call, f);
  } else {
    convolveBlockedBack(call, f);
  }
}

}  // namespace

void registerFilterConvolution(KernelTable& table) {
  table.emplace("filterConvolution", filterConvolution);
  table.emplace("filterConvolutionBackward", filterConvolutionBackward);
}

}  // namespace braid::BRAID_VARIANT
