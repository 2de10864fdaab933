// Matrix products of oneDNN, for the peaks and for `braid bench operators --peers`. Reads one order per line,
//
//     m k n transposeA transposeB float32|bfloat16 plain|packed runs seconds
//
// and answers with one line: the seconds of each run, of which there are at least `runs` and as many as `seconds` ask for.
// `plain`: both operands as Braid has them, row by row; `packed`: the second operand in the layout that oneDNN asks for,
// brought there beforehand. The result is float32. `unsupported...` where the library has no such product on this CPU.
// The last products stay ready, so that they can be asked for in turn with others at no cost.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <list>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"

using dnnl::memory;

namespace {

struct Order {
  memory::dim m, k, n;
  bool transposeA, transposeB;
  memory::data_type type;
  bool packed;
};

struct Ready {
  std::string name;
  dnnl::matmul product;
  std::unordered_map<int, memory> arguments;

  size_t bytes() const {
    size_t total = 0;
    for (const auto& [key, tensor] : arguments) total += tensor.get_desc().get_size();
    return total;
  }
};

// What stays ready: two of any size, which can be measured in turn, and more of them while they are small.
constexpr size_t alwaysReady = 2;
constexpr size_t mostBytes = size_t{256} << 20;

// Touches every page: memory that was never written is read from one cached page.
void fill(const memory& m) {
  // About 0.01, in bfloat16 and in float32.
  auto* values = static_cast<uint16_t*>(m.get_data_handle());
  std::fill_n(values, m.get_desc().get_size() / sizeof(uint16_t), uint16_t{0x3c24});
}

Ready prepare(const std::string& name, const Order& order, dnnl::engine& engine, dnnl::stream& stream) {
  using tag = memory::format_tag;
  const memory::desc a({order.m, order.k}, order.type, order.transposeA ? tag::ba : tag::ab);
  const memory::desc plain({order.k, order.n}, order.type, order.transposeB ? tag::ba : tag::ab);
  const memory::desc free({order.k, order.n}, order.type, tag::any);
  const memory::desc y({order.m, order.n}, memory::data_type::f32, tag::ab);
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::matmul::primitive_desc chosen(engine, a, order.packed ? free : plain, y);
#else
  const dnnl::matmul::primitive_desc chosen(dnnl::matmul::desc(a, order.packed ? free : plain, y), engine);
#endif
  memory source(a, engine), weights(plain, engine), result(y, engine);
  fill(source);
  fill(weights);
  fill(result);
  memory used = weights;
  if (order.packed && chosen.weights_desc() != plain) {
    used = memory(chosen.weights_desc(), engine);
    dnnl::reorder(weights, used).execute(stream, weights, used);
    stream.wait();
  }
  return {name, dnnl::matmul(chosen), {{DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, used}, {DNNL_ARG_DST, result}}};
}

double run(const Ready& ready, dnnl::stream& stream) {
  const auto begin = std::chrono::steady_clock::now();
  ready.product.execute(stream, ready.arguments);
  stream.wait();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return took.count();
}

// The product of that name, prepared now or kept from an earlier order; the one not asked for longest goes.
const Ready& find(std::list<Ready>& kept, const std::string& name, const Order& order, dnnl::engine& engine,
                  dnnl::stream& stream) {
  for (auto known = kept.begin(); known != kept.end(); ++known) {
    if (known->name != name) continue;
    kept.splice(kept.begin(), kept, known);
    return kept.front();
  }
  const auto tooMuch = [&] {
    size_t total = 0;
    for (const Ready& ready : kept) total += ready.bytes();
    return total > mostBytes;
  };
  while (kept.size() >= alwaysReady && tooMuch()) kept.pop_back();
  kept.push_front(prepare(name, order, engine, stream));
  run(kept.front(), stream);  // the first one touches fresh memory
  return kept.front();
}

}  // namespace

int main() {
  dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const dnnl_version_t* version = dnnl_version();
  std::cout.precision(9);
  std::cout << "oneDNN " << version->major << '.' << version->minor << '.' << version->patch << std::endl;
  std::list<Ready> kept;
  std::string line;
  while (std::getline(std::cin, line)) {
    Order order;
    std::string type, layout;
    int runs = 0;
    double seconds = 0;
    std::istringstream fields(line);
    fields >> order.m >> order.k >> order.n >> order.transposeA >> order.transposeB >> type >> layout;
    const std::string name = line.substr(0, fields.tellg());
    fields >> runs >> seconds;
    order.type = type == "bfloat16" ? memory::data_type::bf16 : memory::data_type::f32;
    order.packed = layout == "packed";
    try {
      if (!fields) throw std::runtime_error("cannot read the order '" + line + "'");
      const Ready& ready = find(kept, name, order, engine, stream);
      double spent = 0;
      for (int done = 0; done < runs || spent < seconds; done++) {
        const double took = run(ready, stream);
        spent += took;
        std::cout << took << ' ';
      }
      std::cout << std::endl;
    } catch (const dnnl::error& error) {
      std::cout << (error.status == dnnl_unimplemented ? "unsupported" : "error: ") << error.what() << std::endl;
    } catch (const std::exception& error) {
      std::cout << "error: " << error.what() << std::endl;
    }
  }
}
