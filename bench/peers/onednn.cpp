// Matrix products of oneDNN, for `braid bench operators --peers`. Reads one order per line,
//
//     m k n transposeA transposeB float32|bfloat16 runs
//
// and answers with one line: the seconds of each run with both operands as Braid has them (plain, row by row), a bar,
// and those with the second operand in the layout that oneDNN asks for, brought there beforehand. The result is float32.
// `unsupported…` where the library has no such product on this CPU.
#include <chrono>
#include <cstdint>
#include <iostream>
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
  int runs;
};

// Touches every page: memory that was never written is read from one cached page.
void fill(const memory& m) {
  auto* bytes = static_cast<uint8_t*>(m.get_data_handle());
  const size_t size = m.get_desc().get_size();
  for (size_t i = 0; i < size; i++) bytes[i] = static_cast<uint8_t>(i % 2 == 0 ? 0 : 60);
}

std::vector<double> measure(const Order& order, bool packed, dnnl::engine& engine, dnnl::stream& stream) {
  using tag = memory::format_tag;
  const memory::desc a({order.m, order.k}, order.type, order.transposeA ? tag::ba : tag::ab);
  const memory::desc plain({order.k, order.n}, order.type, order.transposeB ? tag::ba : tag::ab);
  const memory::desc free({order.k, order.n}, order.type, tag::any);
  const memory::desc y({order.m, order.n}, memory::data_type::f32, tag::ab);
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::matmul::primitive_desc chosen(engine, a, packed ? free : plain, y);
#else
  const dnnl::matmul::primitive_desc chosen(dnnl::matmul::desc(a, packed ? free : plain, y), engine);
#endif
  const dnnl::matmul product(chosen);
  memory source(a, engine), weights(plain, engine), result(y, engine);
  fill(source);
  fill(weights);
  fill(result);
  memory used = weights;
  if (packed && chosen.weights_desc() != plain) {
    used = memory(chosen.weights_desc(), engine);
    dnnl::reorder(weights, used).execute(stream, weights, used);
    stream.wait();
  }
  const std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, used}, {DNNL_ARG_DST, result}};
  std::vector<double> seconds;
  for (int run = 0; run <= order.runs; run++) {
    const auto begin = std::chrono::steady_clock::now();
    product.execute(stream, arguments);
    stream.wait();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (run > 0) seconds.push_back(took.count());  // the first one touches fresh memory
  }
  return seconds;
}

void print(const std::vector<double>& seconds) {
  for (const double value : seconds) std::cout << value << ' ';
}

}  // namespace

int main() {
  dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const dnnl_version_t* version = dnnl_version();
  std::cout.precision(9);
  std::cout << "oneDNN " << version->major << '.' << version->minor << '.' << version->patch << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
    Order order;
    std::string type;
    std::istringstream fields(line);
    fields >> order.m >> order.k >> order.n >> order.transposeA >> order.transposeB >> type >> order.runs;
    order.type = type == "bfloat16" ? memory::data_type::bf16 : memory::data_type::f32;
    try {
      if (!fields) throw std::runtime_error("cannot read the order '" + line + "'");
      const auto plain = measure(order, false, engine, stream);
      const auto packed = measure(order, true, engine, stream);
      print(plain);
      std::cout << "| ";
      print(packed);
      std::cout << std::endl;
    } catch (const dnnl::error& error) {
      std::cout << (error.status == dnnl_unimplemented ? "unsupported" : "error: ") << error.what() << std::endl;
    } catch (const std::exception& error) {
      std::cout << "error: " << error.what() << std::endl;
    }
  }
}
