// Activations and their slopes, and the choice of one by its name.
#pragma once
#include <stdexcept>
#include <string>

#include "math.hpp"

namespace braid::BRAID_VARIANT {

struct Silu {
  static f32x16 value(const f32x16& x) { return silu(x); }
  static f32x16 slope(const f32x16& x) {
    const f32x16 s = sigmoid(x);
    return s + s * x * (1.0f - s);
  }
};

// Tanh form (Hendrycks and Gimpel 2016): ½x(1 + tanh(√(2/π)(x + 0.044715x³))).
struct Gelu {
  static constexpr float root = 0.7978845608028654f, cubic = 0.044715f;
  static f32x16 value(const f32x16& x) { return x * 0.5f * (tanh((x + x * x * x * cubic) * root) + 1.0f); }
  static f32x16 slope(const f32x16& x) {
    const f32x16 t = tanh((x + x * x * x * cubic) * root);
    return (t + 1.0f) * 0.5f + x * 0.5f * (1.0f - t * t) * ((x * x * (3 * cubic) + 1.0f) * root);
  }
};

// As it is defined: x · Φ(x), with Φ the distribution of a normal variable.
struct GeluErf {
  static constexpr float toErf = 0.70710678118654752f, density = 0.39894228040143268f;
  static f32x16 value(const f32x16& x) { return x * halfErfPlusOne(x * toErf); }
  static f32x16 slope(const f32x16& x) { return halfErfPlusOne(x * toErf) + x * density * exp(x * x * -0.5f); }
};

struct Relu2 {
  static f32x16 positive(const f32x16& x) { return select(x < 0.0f, zero(), x); }
  static f32x16 value(const f32x16& x) { return positive(x) * positive(x); }
  static f32x16 slope(const f32x16& x) { return positive(x) * 2.0f; }
};

struct Sigmoid {
  static f32x16 value(const f32x16& x) { return sigmoid(x); }
  static f32x16 slope(const f32x16& x) {
    const f32x16 s = sigmoid(x);
    return s * (1.0f - s);
  }
};

struct Softplus {
  static f32x16 value(const f32x16& x) { return softplus(x); }
  static f32x16 slope(const f32x16& x) { return sigmoid(x); }
};

struct Tanh {
  static f32x16 value(const f32x16& x) { return tanh(x); }
  static f32x16 slope(const f32x16& x) {
    const f32x16 t = tanh(x);
    return 1.0f - t * t;
  }
};

struct Exp {
  static f32x16 value(const f32x16& x) { return exp(x); }
  static f32x16 slope(const f32x16& x) { return exp(x); }
};

// Value and slope at one place. Those of silu share the division, which takes as long as everything else in them.
template <typename Kind>
inline f32x16 valueAndSlope(Kind, const f32x16& x, f32x16& slope) {
  slope = Kind::slope(x);
  return Kind::value(x);
}
inline f32x16 valueAndSlope(Silu, const f32x16& x, f32x16& slope) {
  const f32x16 s = sigmoid(x);
  slope = s + s * x * (1.0f - s);
  return x * s;
}

// body(Kind{}) for the activation of that name.
template <typename Body>
inline void withActivation(const std::string& kind, const Body& body) {
  if (kind == "silu") return body(Silu{});
  if (kind == "gelu") return body(Gelu{});
  if (kind == "geluErf") return body(GeluErf{});
  if (kind == "relu2") return body(Relu2{});
  if (kind == "sigmoid") return body(Sigmoid{});
  if (kind == "softplus") return body(Softplus{});
  if (kind == "tanh") return body(Tanh{});
  if (kind == "exp") return body(Exp{});
  throw std::invalid_argument("There is no activation '" + kind + "'.");
}

}  // namespace braid::BRAID_VARIANT
