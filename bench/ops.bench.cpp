// SPDX-License-Identifier: MIT
// Every entry of the op table on one core, and some ops on as many rows as a batch has: value alone, and
// value with gradients of all inputs.
#include "../tests/ops/op_table.hpp"
#include "run.hpp"

namespace {
using sbi::Tensor;
using sbi::testing::OpCase;
using Be = sbi::Cpu<float>;

void run(benchmark::State& state, const OpCase& op, bool gradients) {
  Be backend(1);
  std::vector<Tensor<float>> inputs;
  sbi::Rng rng(1);
  for (const sbi::Shape& s : op.inputs)
    for (auto& x : inputs.emplace_back(s)) x = static_cast<float>(rng.normal());
  Tensor<float> cotangent;
  sbi::index_t elements = 0;
  for (auto _ : state) {
    sbi::Tape<Be> tape(backend);
    std::vector<sbi::Var<float>> in;
    for (const auto& x : inputs) in.push_back(gradients ? tape.input(x.view()) : tape.constant(x.view()));
    const auto y = op.op<Be>()(tape, in);
    benchmark::DoNotOptimize(y.value.data);
    elements = y.value.size();
    if (!gradients) continue;
    if (cotangent.size() == 0) {
      cotangent = Tensor<float>(y.shape());
      std::fill(cotangent.begin(), cotangent.end(), 1.0f);
    }
    tape.seed(y, std::as_const(cotangent).view());
    tape.backward();
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * elements); // elements of the output
}

/// The parts of a transformer on 512 samples of 32 tokens at once. Training never makes such calls, other
/// libraries do: see bench/peers/ops.py.
std::vector<OpCase> batch_cases() {
  using sbi::testing::Checked, sbi::testing::op_case;
  namespace ops = sbi::ops;
  const sbi::Shape x{16384, 64};
  std::vector<OpCase> out;
  out.push_back(op_case("linear", "linear", {x, {64, 256}, {256}}, Checked::no_axis,
                        []<class T>(sbi::testing::Constants<T>&) { return ops::Linear<T>{}; }));
  out.push_back(op_case("norm", "layer norm", {x, {64}, {64}}, Checked::no_axis,
                        [](auto&) { return ops::LayerNorm{}; }));
  out.push_back(op_case("elementwise", "gelu", {x}, Checked::no_axis, [](auto&) { return ops::Gelu{}; }));
  out.push_back(op_case("softmax", "softmax", {x}, Checked::no_axis, [](auto&) { return ops::Softmax{}; }));
  out.push_back(sbi::testing::attention_case({512, 32, 4, 16, sbi::testing::MaskKind::each}));
  return out;
}
} // namespace

int main(int argc, char** argv) {
  auto cases = sbi::testing::op_cases(sbi::testing::Sizes::bench);
  for (auto& c : batch_cases()) cases.push_back(c);
  for (const OpCase& op : cases)
    for (const bool gradients : {false, true})
      benchmark::RegisterBenchmark((op.name + (gradients ? " value and gradients" : " value")).c_str(), run,
                                   op, gradients);
  return sbi::bench::run(argc, argv);
}
