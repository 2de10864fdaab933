// Linear layer, softmax and cross-entropy over chunks of tokens. One chunk of logits is all that is ever in memory; in the
// backward pass it is turned in place into the gradient of the logits, in the storage of the operands.
#include <cmath>
#include <stdexcept>
#include <string>

#include "gemm.hpp"
#include "math.hpp"
#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Loss {
  const Tensor &x, &w;
  const int32_t* targets;
  const float* weights;
  int64_t tokens, width, vocabulary, chunk;
  float cap;       // logits z are cap · tanh(z / cap); 0: as they are
  int64_t stride;  // elements between rows of logits: not a power of two, whose rows would share cache sets
  float* logits;

  explicit Loss(const Call& call)
      : x(call.in(0)),
        w(call.in(1)),
        targets(call.in(2).as<const int32_t>()),
        weights(call.in(3).as<const float>()),
        tokens(x.rows()),
        width(x.last()),
        vocabulary(w.shape[0]),
        chunk(call.attributes.integer("chunk")),
        cap(call.attributes.has("cap") ? static_cast<float>(call.attributes.number("cap")) : 0.0f),
        stride((vocabulary + kWidth - 1) / kWidth * kWidth + kWidth),
        logits(reinterpret_cast<float*>(call.workspace)) {
    for (int64_t t = 0; t < tokens; t++) {
      if (targets[t] >= -1 && targets[t] < vocabulary) continue;
      throw std::runtime_error("linearCrossEntropy: target " + std::to_string(targets[t]) + " of token " +
                               std::to_string(t) + " is outside [-1, " + std::to_string(vocabulary) +
                               "). The tokenizer and the model must have the same vocabulary.");
    }
  }

  bool half() const { return x.dtype == DType::bfloat16; }
  GemmOperand rowsOf(const Tensor& t, int64_t first, bool transposed) const {
    return {t.as<const std::byte>() + static_cast<size_t>(first * width) * byteSize(t.dtype), t.dtype, width,
            transposed};
  }
  void computeLogits(Team& team, int64_t first, int64_t count) const {
    gemm(team, {count, vocabulary, width, rowsOf(x, first, false), rowsOf(w, 0, true), logits, DType::float32, stride});
  }
};

float logSumExp(const float* row, int64_t count) {
  f32x16 top = splat(-__builtin_inff());
  forVectors(0, count / kWidth * kWidth, [&](int64_t i, int64_t) { top = max(top, load(row + i)); });
  float most = maximum(top);
  for (int64_t i = count / kWidth * kWidth; i < count; i++) most = row[i] > most ? row[i] : most;
  f32x16 total = zero();
  forVectors(0, count / kWidth * kWidth, [&](int64_t i, int64_t) { total += exp(load(row + i) - most); });
  float rest = sum(total);
  for (int64_t i = count / kWidth * kWidth; i < count; i++) rest += std::exp(row[i] - most);
  return most + std::log(rest);
}

// Logits become capped ones, in place.
void capLogits(float* row, int64_t count, float cap) {
  if (cap == 0) return;
  forVectors(0, count, [&](int64_t i, int64_t n) {
    storeLanes(row + i, tanh(loadLanes(row + i, n) * (1.0f / cap)) * cap, n);
  });
}

// Logits become factor · (softmax − one-hot), times the slope 1 − (z / cap)² of a cap, in place. Narrower elements are
// written behind what is still to be read.
template <typename Element>
void toGradient(float* row, int64_t count, float logsumexp, int32_t target, float factor, float cap) {
  Element* to = reinterpret_cast<Element*>(row);
  const float inverse = cap == 0 ? 0 : 1.0f / cap;
  const float part = target < 0 ? 0 : row[target] * inverse;
  const float targetGradient =
      target < 0 ? 0 : factor * (std::exp(row[target] - logsumexp) - 1.0f) * (1.0f - part * part);
  forVectors(0, count, [&](int64_t i, int64_t n) {
    const f32x16 logit = loadLanes(row + i, n);
    const f32x16 gradient = exp(logit - logsumexp) * factor;
    const f32x16 whole = logit * inverse;
    storeLanes(to + i, target < 0 ? zero() : cap == 0 ? gradient : gradient * (1.0f - whole * whole), n);
  });
  if (target >= 0) storeOne(to + target, targetGradient);
}

void toGradient(const Loss& l, float* row, int64_t token, float logsumexp, float factor) {
  factor *= l.weights[token];
  if (l.half()) toGradient<bfloat16>(row, l.vocabulary, logsumexp, l.targets[token], factor, l.cap);
  else toGradient<float>(row, l.vocabulary, logsumexp, l.targets[token], factor, l.cap);
}

// dx of the chunk's tokens, and their share of dw.
void multiplyGradient(const Loss& l, Team& team, int64_t first, int64_t count, const Tensor& dx, const Tensor& dw) {
  GemmOperand gradient{l.logits, l.x.dtype, l.half() ? 2 * l.stride : l.stride, false};
  if (dx) {
    gemm(team, {count, l.width, l.vocabulary, gradient, l.rowsOf(l.w, 0, false), dx.as<float>() + first * l.width,
                DType::float32, l.width});
  }
  if (!dw) return;
  gradient.transposed = true;
  GemmArguments product{l.vocabulary, l.width,       count,  gradient, l.rowsOf(l.x, first, false), dw.data,
                        DType::float32, l.width};
  product.accumulate = first > 0;
  gemm(team, product);
}

// Visits the tokens chunk by chunk: perToken(token, row of logits) on all threads, then perChunk(first, count).
template <typename PerToken, typename PerChunk>
void forChunks(const Loss& l, Team& team, const PerToken& perToken, const PerChunk& perChunk) {
  for (int64_t first = 0; first < l.tokens; first += l.chunk) {
    const int64_t count = l.tokens - first < l.chunk ? l.tokens - first : l.chunk;
    l.computeLogits(team, first, count);
    team.share(count, 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; i++) {
        capLogits(l.logits + i * l.stride, l.vocabulary, l.cap);
        perToken(first + i, l.logits + i * l.stride);
      }
    });
    perChunk(first, count);
  }
}

// Forward, with the gradients at once where dx or dw is given.
void forward(const Call& call, const Tensor& loss, const Tensor& tokenLoss, const Tensor& logsumexp, const Tensor& dx,
             const Tensor& dw) {
  const Loss l(call);
  Team& team = call.team;
  const bool gradients = dx || dw;
  float* losses = reinterpret_cast<float*>(team.scratch(0, static_cast<size_t>(l.tokens) * sizeof(float)));
  const auto perToken = [&](int64_t token, float* row) {
    const float norm = logSumExp(row, l.vocabulary);
    const int32_t target = l.targets[token];
    losses[token] = target < 0 ? 0 : norm - row[target];
    if (logsumexp) logsumexp.as<float>()[token] = norm;
    if (gradients) toGradient(l, row, token, norm, 1);
  };
  forChunks(l, team, perToken, [&](int64_t first, int64_t count) {
    if (gradients) multiplyGradient(l, team, first, count, dx, dw);
  });
  double total = 0;
  for (int64_t t = 0; t < l.tokens; t++) {
    if (l.targets[t] >= 0) total += static_cast<double>(l.weights[t]) * losses[t];
    if (tokenLoss) tokenLoss.as<float>()[t] = losses[t];
  }
  if (loss) *loss.as<float>() = static_cast<float>(total);
}

void linearCrossEntropy(const Call& call) {
  forward(call, call.out(0), call.out(1), call.out(2), Tensor{}, Tensor{});
}

void linearCrossEntropyWithGradient(const Call& call) {
  forward(call, call.out(0), call.out(1), Tensor{}, call.out(2), call.out(3));
}

void linearCrossEntropyBackward(const Call& call) {
  const Loss l(call);
  const float* logsumexp = call.in(4).as<const float>();
  const float factor = *call.in(5).as<const float>();
  forChunks(
      l, call.team,
      [&](int64_t token, float* row) { toGradient(l, row, token, logsumexp[token], factor); },
      [&](int64_t first, int64_t count) { multiplyGradient(l, call.team, first, count, call.out(0), call.out(1)); });
}

}  // namespace

void registerLoss(KernelTable& table) {
  table.emplace("linearCrossEntropy", linearCrossEntropy);
  table.emplace("linearCrossEntropyBackward", linearCrossEntropyBackward);
  table.emplace("linearCrossEntropyWithGradient", linearCrossEntropyWithGradient);
}

}  // namespace braid::BRAID_VARIANT
