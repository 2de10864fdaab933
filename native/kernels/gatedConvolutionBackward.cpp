// Gradients of the gated convolution. A strip of channels in all rows is one piece of work. Stretches are taken from the last to the
// first: what a position gets from those after it is then there already, and q̂, k̂, v̂ and u are computed again.
#include "gatedConvolution.hpp"

#include "gatedFilter.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Gradients {
  Source dy;
  Sink dStreams[Gated::kStreams], dShortFilters[Gated::kStreams], dTaps, dSkip;
  float* tapSums;  // of every channel, [lags, whole vectors of channels]
};

// Sixteen channels of a strip: filters and sums of their gradients.
template <typename Inner>
struct Lanes {
  GatedFilters filters;
  Inner inner;
  float *dShortFilters[Gated::kStreams], *dSkip;

  static int64_t floats(const Gated& g) { return 2 * GatedFilters::floats(g) + Inner::floats(g); }
  Lanes(const Gated& g, Pieces& pieces) : filters(g, pieces), inner(g, pieces) {
    for (float*& own : dShortFilters) own = pieces.take(g.shortTaps * kWidth);
    dSkip = pieces.take(kWidth);
  }

  void take(const Gated& g, int64_t first) const {
    filters.take(g, first, std::min<int64_t>(kWidth, g.channels - first));
    inner.take(first);
    for (float* own : dShortFilters) clearRows(own, 0, g.shortTaps);
    clearRows(dSkip, 0, 1);
  }

  void finish(const Gated& g, int64_t first, const Gradients& to) const {
    for (int64_t lane = 0; lane < std::min<int64_t>(kWidth, g.channels - first); lane++) {
      for (int stream = 0; stream < Gated::kStreams; stream++) {
        for (int64_t lag = 0; to.dShortFilters[stream] && lag < g.shortTaps; lag++) {
          const int64_t at = (first + lane) * g.shortTaps + g.shortTaps - 1 - lag;
          to.dShortFilters[stream].put(at, dShortFilters[stream][lag * kWidth + lane]);
        }
      }
      if (to.dSkip) to.dSkip.put(first + lane, dSkip[lane]);
    }
    if (to.tapSums) inner.giveTaps(to.tapSums + first, padded(g.channels));
  }
};

template <typename Inner>
struct Work {
  StripRows x, dy;                     // a stream, with what the filters see before the stretch; then its gradient
  StripRows u, k, v;                   // of a stretch, and of what the inner filter sees before it
  StripRows dz, dQuery, dKey, dValue;  // of a stretch, and of the positions behind it
  float *z, *du;
  Lanes<Inner> all[kStripVectors];

  static int64_t rows(const Gated& g) { return Inner::stretch(g) + kPad; }
  static int64_t xRows(const Gated& g) { return Inner::before(g) + Inner::stretch(g) + g.shortTaps - 1; }
  static int64_t uRows(const Gated& g) { return Inner::before(g) + rows(g); }
  static int64_t seenRows(const Gated& g) { return Inner::before(g) + Inner::stretch(g); }
  static int64_t filteredRows(const Gated& g) { return Inner::stretch(g) + g.shortTaps; }
  static size_t bytes(const Gated& g) {
    const int64_t strips = xRows(g) + Inner::stretch(g) + 2 * seenRows(g) + 2 * uRows(g) + 3 * filteredRows(g);
    return static_cast<size_t>(StripRows::floats(strips) + 2 * rows(g) * kWidth +
                               kStripVectors * Lanes<Inner>::floats(g)) *
           sizeof(float);
  }
  Work(const Gated& g, Pieces pieces)
      : x(xRows(g), pieces),
        dy(Inner::stretch(g), pieces),
        u(uRows(g), pieces),
        k(seenRows(g), pieces),
        v(seenRows(g), pieces),
        dz(uRows(g), pieces),
        dQuery(filteredRows(g), pieces),
        dKey(filteredRows(g), pieces),
        dValue(filteredRows(g), pieces),
        z(pieces.take(rows(g) * kWidth)),
        du(pieces.take(rows(g) * kWidth)),
        all{{g, pieces}, {g, pieces}, {g, pieces}, {g, pieces}} {}

  // Makes room for a stretch of `count` positions before those that the gradients begin with, or, at the end of a document,
  // before zeros.
  void moveOn(const Gated& g, int64_t vectors, int64_t count, bool documentEnds) const {
    const auto move = [&](const StripRows& strip, int64_t kept) {
      for (int64_t v = 0; v < vectors; v++) {
        float* rows = strip.of(v);
        if (documentEnds) {
          clearRows(rows, count, strip.rows);
        } else {
          std::memmove(rows + count * kWidth, rows, static_cast<size_t>(kept * kWidth) * sizeof(float));
          clearRows(rows, count + kept, strip.rows);
        }
      }
    };
    move(dz, Inner::before(g));
    for (const StripRows* strip : {&dQuery, &dKey, &dValue}) move(*strip, g.shortTaps - 1);
  }
};

// The gradients of sixteen channels of a stream and its short filter from those of its filtered form. x begins with the
// positions under the filter before the first, and is overwritten by its gradient.
void unfilter(int64_t shortTaps, const float* filter, const float* dFiltered, int64_t count, float* x, float* dFilter) {
  withShortTaps(shortTaps, [&](auto known) {
    constexpr int kTaps = decltype(known)::value;
    constexpr int kOwn = kTaps > 0 ? kTaps : 16;
    const int64_t taps = kTaps > 0 ? kTaps : shortTaps;
    f32x16 sums[kOwn], weights[kOwn];
    for (int64_t lag = 0; lag < taps; lag++) sums[lag] = zero();
    for (int64_t lag = 0; lag < taps; lag++) weights[lag] = load(filter + lag * kWidth);
    for (int64_t i = 0; i < count; i++) {
      const float* d = dFiltered + i * kWidth;
      const f32x16 own = load(d);
      f32x16 gradient = zero();
      for (int64_t lag = 0; lag < taps; lag++) {
        gradient += weights[lag] * load(d + lag * kWidth);
        sums[lag] += own * load(x + (i + taps - 1 - lag) * kWidth);
      }
      store(x + i * kWidth, gradient);
    }
    for (int64_t lag = 0; lag < taps; lag++) {
      store(dFilter + lag * kWidth, load(dFilter + lag * kWidth) + sums[lag]);
    }
  });
}

// u, k̂ and v̂ of the stretch and of what the inner filter sees before it. What it saw before the stretch behind is kept, but at
// the end of a document, where there is none.
template <typename Inner>
void takeInputs(const Gated& g, const GatedStretch& part, bool documentEnds, const GatedStrip& strip,
                const Work<Inner>& work) {
  const int64_t before = Inner::before(g), count = part.count(), fresh = documentEnds ? before + count : count;
  const int64_t first = part.begin - before;
  const GatedStretch wanted{part.row, part.start, first, first + fresh, part.next};
  for (int64_t v = 0; !documentEnds && v < strip.vectors(); v++) {
    for (const StripRows* rows : {&work.u, &work.k, &work.v}) {
      std::memmove(rows->of(v) + count * kWidth, rows->of(v), static_cast<size_t>(before * kWidth) * sizeof(float));
    }
  }
  for (const int stream : {Gated::kKey, Gated::kValue}) {
    takeRows(g, g.streams[stream], wanted, first - (g.shortTaps - 1), strip, work.x);
    for (int64_t v = 0; v < strip.vectors(); v++) {
      float *u = work.u.of(v), *k = work.k.of(v), *own = work.v.of(v);
      const float *x = work.x.of(v), *filter = work.all[v].filters.shortFilters[stream];
      if (stream == Gated::kKey) {
        forFiltered(g.shortTaps, filter, x, fresh, [=](int64_t i, const f32x16& key) { store(k + i * kWidth, key); });
      } else {
        forFiltered(g.shortTaps, filter, x, fresh, [=](int64_t i, const f32x16& value) {
          store(own + i * kWidth, value);
          store(u + i * kWidth, load(k + i * kWidth) * value);
        });
      }
    }
  }
  for (int64_t v = 0; v < strip.vectors(); v++) clearRows(work.u.of(v), before + count, before + count + kPad);
}

// The gradients of q̂, k̂ and v̂ of sixteen channels, and what the inner filter and the skip get.
template <typename Inner>
void backLanes(const Gated& g, int64_t count, int64_t vector, const Work<Inner>& work, bool taps) {
  const Lanes<Inner>& own = work.all[vector];
  const float *u = work.u.of(vector) + Inner::before(g) * kWidth, *dy = work.dy.of(vector), *z = work.z;
  float *dz = work.dz.of(vector), *dQuery = work.dQuery.of(vector);
  own.inner.apply(u, count, work.z);
  const f32x16 skip = load(own.filters.skip);
  f32x16 dSkip = load(own.dSkip);
  forFiltered(g.shortTaps, own.filters.shortFilters[Gated::kQuery], work.x.of(vector), count,
              [&](int64_t i, const f32x16& q) {
                const f32x16 d = load(dy + i * kWidth), input = load(u + i * kWidth), inner = d * q;
                store(dQuery + i * kWidth, d * (load(z + i * kWidth) + skip * input));
                store(dz + i * kWidth, inner);
                dSkip += inner * input;
              });
  store(own.dSkip, dSkip);
  own.inner.applyBack(dz, count, work.du);
  const float *k = work.k.of(vector) + Inner::before(g) * kWidth, *v = work.v.of(vector) + Inner::before(g) * kWidth;
  float *dKey = work.dKey.of(vector), *dValue = work.dValue.of(vector);
  for (int64_t i = 0; i < count; i++) {
    const f32x16 du = load(work.du + i * kWidth) + skip * load(dz + i * kWidth);
    store(dKey + i * kWidth, du * load(v + i * kWidth));
    store(dValue + i * kWidth, du * load(k + i * kWidth));
  }
  if (taps) own.inner.addTaps(dz, u, count);
}

template <typename Inner>
void backStretch(const Gated& g, const GatedStretch& part, bool documentEnds, const GatedStrip& strip,
                 const Work<Inner>& work, const Gradients& to) {
  const int64_t count = part.count(), vectors = strip.vectors(), from = part.begin - (g.shortTaps - 1);
  takeInputs(g, part, documentEnds, strip, work);
  takeRows(g, g.streams[Gated::kQuery], part, from, strip, work.x);
  takeRows(g, to.dy, part, part.begin, strip, work.dy);
  for (int64_t v = 0; v < vectors; v++) backLanes(g, count, v, work, to.tapSums != nullptr);
  const StripRows* dFiltered[Gated::kStreams] = {&work.dQuery, &work.dKey, &work.dValue};
  for (int stream = 0; stream < Gated::kStreams; stream++) {
    if (stream != Gated::kQuery) takeRows(g, g.streams[stream], part, from, strip, work.x);
    for (int64_t v = 0; v < vectors; v++) {
      unfilter(g.shortTaps, work.all[v].filters.shortFilters[stream], dFiltered[stream]->of(v), count, work.x.of(v),
               work.all[v].dShortFilters[stream]);
    }
    giveRows(g, work.x, part, strip, to.dStreams[stream]);
  }
}

template <typename Inner>
void back(const Call& call, const Gated& g, const Gradients& to) {
  const int64_t stretch = Inner::stretch(g);
  call.team.share(stripCount(g.channels), 1, [&](int64_t index, int64_t, int thread) {
    const Work<Inner> work(g, Pieces(call.team.scratch(thread, Work<Inner>::bytes(g))));
    [[maybe_unused]] const typename Inner::Session session;
    const GatedStrip strip(g, index);
    for (int64_t v = 0; v < strip.vectors(); v++) work.all[v].take(g, strip.first + v * kWidth);
    for (int64_t row = 0; row < g.batch; row++) {
      for (int64_t documentEnd = g.length; documentEnd > 0;) {
        const int64_t start = g.documentStart(row, documentEnd - 1);
        for (int64_t i = (documentEnd - start - 1) / stretch; i >= 0; i--) {
          const int64_t t = start + i * stretch, partEnd = std::min(documentEnd, t + stretch);
          const bool documentEnds = partEnd == documentEnd;
          work.moveOn(g, strip.vectors(), partEnd - t, documentEnds);
          backStretch(g, {row, start, t, partEnd, -stretch}, documentEnds, strip, work, to);
        }
        documentEnd = start;
      }
    }
    for (int64_t v = 0; v < strip.vectors(); v++) work.all[v].finish(g, strip.first + v * kWidth, to);
  });
}

void gatedConvolutionBackward(const Call& call) {
  const Gated g(call);
  const Sink dTaps = call.out(6);
  const Gradients to{call.in(9),
                     {call.out(0), call.out(1), call.out(2)},
                     {call.out(3), call.out(4), call.out(5)},
                     dTaps,
                     call.out(7),
                     dTaps ? reinterpret_cast<float*>(call.workspace) : nullptr};
  withInnerFilter(call, g, [&](auto* inner) { back<std::remove_pointer_t<decltype(inner)>>(call, g, to); });
  if (!dTaps) return;
  const int64_t stride = padded(g.channels);
  call.team.split(g.groups, rowGrain(g.width * g.tapCount), [&](int64_t begin, int64_t end, int) {
    for (int64_t group = begin; group < end; group++) {
      for (int64_t lag = 0; lag < g.tapCount; lag++) {
        const float* own = to.tapSums + lag * stride + group * g.width;
        float sum = 0;
        for (int64_t i = 0; i < g.width; i++) sum += own[i];
        dTaps.put(group * g.tapCount + lag, sum);
      }
    }
  });
}

}  // namespace

void registerGatedConvolutionBackward(KernelTable& table) {
  table.emplace("gatedConvolutionBackward", gatedConvolutionBackward);
}

}  // namespace braid::BRAID_VARIANT
