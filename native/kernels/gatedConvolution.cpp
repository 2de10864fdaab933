// The gated convolution, forward.
#include "gatedConvolution.hpp"

#include <vector>

#include "gatedFilter.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// Sixteen channels of a strip: their filters.
template <typename Inner>
struct Lanes {
  GatedFilters filters;
  Inner inner;

  static int64_t floats(const Gated& g) { return GatedFilters::floats(g) + Inner::floats(g); }
  Lanes(const Gated& g, Pieces& pieces) : filters(g, pieces), inner(g, pieces) {}

  void take(const Gated& g, int64_t first) const {
    filters.take(g, first, std::min<int64_t>(kWidth, g.channels - first));
    inner.take(first);
  }
};

// x: a stream with the positions under the short filter before it, then the result. u: from before the stretch on.
template <typename Inner>
struct Work {
  StripRows x, u;
  float* z;
  Lanes<Inner> all[kStripVectors];

  static int64_t xRows(const Gated& g) { return Inner::stretch(g) + g.shortTaps - 1; }
  static int64_t uRows(const Gated& g) { return Inner::before(g) + Inner::stretch(g) + kPad; }
  static int64_t zRows(const Gated& g) { return Inner::stretch(g) + kPad; }
  static size_t bytes(const Gated& g) {
    return static_cast<size_t>(StripRows::floats(xRows(g) + uRows(g)) + zRows(g) * kWidth +
                               kStripVectors * Lanes<Inner>::floats(g)) *
           sizeof(float);
  }
  Work(const Gated& g, Pieces pieces)
      : x(xRows(g), pieces),
        u(uRows(g), pieces),
        z(pieces.take(zRows(g) * kWidth)),
        all{{g, pieces}, {g, pieces}, {g, pieces}, {g, pieces}} {}
};

template <typename Inner>
void convolveStretch(const Gated& g, const GatedStretch& part, const GatedStrip& strip, const Work<Inner>& work,
                     const Sink& y) {
  const int64_t before = Inner::before(g), count = part.count(), vectors = strip.vectors();
  const int64_t from = part.begin - (g.shortTaps - 1);
  const auto filtered = [&](int stream, int64_t v, const auto& body) {
    forFiltered(g.shortTaps, work.all[v].filters.shortFilters[stream], work.x.of(v), count, body);
  };
  takeRows(g, g.streams[Gated::kKey], part, from, strip, work.x);
  for (int64_t v = 0; v < vectors; v++) {
    float* u = work.u.of(v);
    if (part.begin == part.start) {
      clearRows(u, 0, before);
    } else {  // every stretch before the last of a document is a whole one
      std::memmove(u, u + Inner::stretch(g) * kWidth, static_cast<size_t>(before * kWidth) * sizeof(float));
    }
    u += before * kWidth;
    filtered(Gated::kKey, v, [=](int64_t i, const f32x16& k) { store(u + i * kWidth, k); });
  }
  takeRows(g, g.streams[Gated::kValue], part, from, strip, work.x);
  for (int64_t v = 0; v < vectors; v++) {
    float* u = work.u.of(v) + before * kWidth;
    filtered(Gated::kValue, v, [=](int64_t i, const f32x16& value) {
      store(u + i * kWidth, load(u + i * kWidth) * value);
    });
  }
  takeRows(g, g.streams[Gated::kQuery], part, from, strip, work.x);
  for (int64_t v = 0; v < vectors; v++) {
    float *u = work.u.of(v) + before * kWidth, *x = work.x.of(v), *z = work.z;
    clearRows(u, count, count + kPad);
    work.all[v].inner.apply(u, count, z);
    const f32x16 skip = load(work.all[v].filters.skip);
    filtered(Gated::kQuery, v, [=](int64_t i, const f32x16& q) {
      store(x + i * kWidth, q * (load(z + i * kWidth) + skip * load(u + i * kWidth)));
    });
  }
  giveRows(g, work.x, part, strip, y);
}

template <typename Inner>
void convolve(const Call& call, const Gated& g) {
  const Sink y = call.out(0);
  if (!y) return;
  const int64_t strips = stripCount(g.channels), stretch = Inner::stretch(g);
  std::vector<int64_t> held(static_cast<size_t>(call.team.size()), -1);  // the strip whose filters stand in a thread's memory
  call.team.share(strips * g.batch, 1, [&](int64_t unit, int64_t, int thread) {
    const Work<Inner> work(g, Pieces(call.team.scratch(thread, Work<Inner>::bytes(g))));
    [[maybe_unused]] const typename Inner::Session session;
    const int64_t row = unit % g.batch, index = unit / g.batch;
    const GatedStrip strip(g, index);
    int64_t& own = held[static_cast<size_t>(thread)];
    for (int64_t v = 0; own != index && v < strip.vectors(); v++) work.all[v].take(g, strip.first + v * kWidth);
    own = index;
    for (int64_t start = 0; start < g.length;) {
      const int64_t documentEnd = g.history.documentEnd(row, start);
      for (int64_t t = start; t < documentEnd; t += stretch) {
        convolveStretch(g, {row, start, t, std::min(documentEnd, t + stretch), stretch}, strip, work, y);
      }
      start = documentEnd;
    }
  });
}

void gatedConvolution(const Call& call) {
  const Gated g(call);
  withInnerFilter(call, g, [&](auto* inner) { convolve<std::remove_pointer_t<decltype(inner)>>(call, g); });
}

}  // namespace

void registerGatedConvolution(KernelTable& table) { table.emplace("gatedConvolution", gatedConvolution); }

}  // namespace braid::BRAID_VARIANT
