// SPDX-License-Identifier: MIT
// Reverse-mode differentiation of tensor operations. A node is a function pointer and a trivially
// destructible closure in the thread's arena; nothing is reference-counted and nothing is freed one by one.
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/backend/denormals.hpp>

#include <concepts>
#include <new>
#include <type_traits>

namespace sbi {

/// A value on the tape and where its gradient goes. An empty gradient means that nobody wants it: nothing is
/// computed for it. Slices and reshapes of a Var are Vars of the same storage.
template <class T> struct Var {
  View<const T> value;
  View<T> grad;

  [[nodiscard]] const Shape& shape() const { return value.shape; }
  [[nodiscard]] bool wants_grad() const { return static_cast<bool>(grad); }
  [[nodiscard]] Var columns(index_t first, index_t count) const {
    return {value.columns(first, count), grad ? grad.columns(first, count) : View<T>{}};
  }
  [[nodiscard]] Var row_block(index_t first, index_t count) const {
    return {value.row_block(first, count), grad ? grad.row_block(first, count) : View<T>{}};
  }
  [[nodiscard]] Var reshaped(Shape to) const {
    return {value.reshaped(to), grad ? grad.reshaped(to) : View<T>{}};
  }
};

namespace detail {
template <class T, class> using Repeat = T;
/// Ops that keep something for their vjp declare `Shape saved(Shape...)`.
template <class Op, class... Shapes>
concept Saves = requires(const Op op, Shapes... shapes) {
  { op.saved(shapes...) } -> std::same_as<Shape>;
};
} // namespace detail

/// A differentiable operation: `shape` checks and computes, `fwd` writes the value, `vjp` adds to the
/// gradients of those inputs that want one (an empty view means no). Ops that declare `saved` get one more
/// array, written by fwd and read by vjp, after the output.
template <class Op, class B, class... In>
concept DifferentiableOp = requires(const Op op, B& be, View<const typename B::param_t> c,
                                    View<typename B::param_t> m) {
  { op.shape(In{}.shape()...) } -> std::same_as<Shape>;
}
&&
    (detail::Saves<Op, detail::Repeat<Shape, In>...>
         ? requires(const Op op, B& be, View<const typename B::param_t> c, View<typename B::param_t> m) {
             op.fwd(be, In{}.value..., m, m);
             op.vjp(be, In{}.value..., c, c, c, In{}.grad...);
           }
         : requires(const Op op, B& be, View<const typename B::param_t> c, View<typename B::param_t> m) {
             op.fwd(be, In{}.value..., m);
             op.vjp(be, In{}.value..., c, c, In{}.grad...);
           });

/// Where a module's parameter lies in the flat buffer of a model.
struct Parameter {
  index_t offset = 0;
  Shape shape;
};

/// Records operations and plays them back in reverse. It lives on one thread, takes its memory from that
/// thread's arena and returns it all when it is destroyed, so a Var does not outlive its tape. Denormals are
/// flushed while it exists.
template <Backend B> class Tape {
public:
  using T = typename B::param_t;

  /// `parameters`: the model's flat values; `gradients`: the buffer of the same layout that their gradients
  /// are added to, or null when they are frozen.
  explicit Tape(B& backend, const T* parameters = nullptr, T* gradients = nullptr)
      : backend_(backend), arena_(backend.arena()), scope_(arena_), parameters_(parameters),
        gradients_(gradients) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  [[nodiscard]] B& backend() { return backend_; }
  [[nodiscard]] Arena& arena() { return arena_; }

  /// A model parameter.
  [[nodiscard]] Var<T> operator()(const Parameter& p) const {
    return {View<const T>(parameters_ + p.offset, p.shape),
            gradients_ ? View<T>(gradients_ + p.offset, p.shape) : View<T>{}};
  }
  /// Data: no gradient.
  [[nodiscard]] Var<T> constant(View<const T> value) const { return {value, {}}; }
  /// An input whose gradient is added to `grad`.
  [[nodiscard]] Var<T> input(View<const T> value, View<T> grad) const { return {value, grad}; }
  /// An input whose gradient starts at zero in the tape's own memory.
  [[nodiscard]] Var<T> input(View<const T> value) {
    return {value, View<T>(arena_.zeros<T>(value.size()), value.shape)};
  }
  /// Uninitialised memory that lives as long as the tape.
  [[nodiscard]] View<T> scratch(Shape shape) { return {arena_.array<T>(shape.size()), shape}; }

  /// Computes op(in...) and records it if any input wants a gradient.
  template <class Op, std::same_as<Var<T>>... In> Var<T> apply(Op op, In... in) {
    static_assert(DifferentiableOp<Op, B, In...>, "sbi: an op needs shape(shapes...), fwd(backend, in..., "
                                                  "y[, saved]) and vjp(backend, in..., y[, saved], "
                                                  "dy, din...)");
    static_assert(std::is_trivially_destructible_v<Op>, "sbi: an op is kept in an arena and never destroyed");
    const Shape shape = op.shape(in.shape()...);
    const bool record = (in.wants_grad() || ...);
    const View<T> y(arena_.array<T>(shape.size()), shape);
    const View<T> dy = record ? View<T>(arena_.zeros<T>(shape.size()), shape) : View<T>{};
    if constexpr (detail::Saves<Op, detail::Repeat<Shape, In>...>) {
      const Shape kept = op.saved(in.shape()...);
      const View<T> saved(arena_.array<T>(kept.size()), kept);
      op.fwd(backend_, in.value..., y, saved);
      if (record)
        push([=](B& be) {
          op.vjp(be, in.value..., View<const T>(y), View<const T>(saved), View<const T>(dy), in.grad...);
        });
    } else {
      op.fwd(backend_, in.value..., y);
      if (record)
        push([=](B& be) { op.vjp(be, in.value..., View<const T>(y), View<const T>(dy), in.grad...); });
    }
    return {y, dy};
  }

  /// Adds a cotangent to an output before `backward`.
  void seed(const Var<T>& output, View<const T> cotangent) {
    if (!output.wants_grad()) return;
    if (cotangent.shape.size() != output.shape().size())
      throw ShapeError(sbi::text("tape: cotangent ", cotangent.shape, " for an output ", output.shape()));
    const View<const T> from = cotangent.reshaped(output.shape());
    for (index_t r = 0; r < from.rows(); ++r) {
      const T* w = from.row(r);
      T* to = output.grad.row(r);
      for (index_t c = 0; c < from.cols(); ++c) to[c] += w[c];
    }
  }
  /// Plays the tape back from the seeds given so far.
  void backward() {
    for (Node* node = last_; node; node = node->previous) node->play(node, backend_);
    last_ = nullptr;
  }
  /// The gradient of a single number, times `scale`.
  void backward(const Var<T>& scalar, T scale = T{1}) {
    if (scalar.shape().size() != 1)
      throw ShapeError(sbi::text("tape: backward from ", scalar.shape(), "; want a single number, or seeds"));
    seed(scalar, View<const T>(&scale, scalar.shape()));
    backward();
  }

private:
  struct Node {
    void (*play)(Node*, B&);
    Node* previous;
  };
  template <class F> void push(F f) {
    struct Record : Node {
      F f;
      Record(Node node, F g) : Node(node), f(g) {}
    };
    static_assert(std::is_trivially_destructible_v<Record>);
    last_ = new (arena_.raw(sizeof(Record)))
        Record({[](Node* node, B& be) { static_cast<Record*>(node)->f(be); }, last_}, f);
  }

  B& backend_;
  Arena& arena_;
  ArenaScope scope_;
  FlushDenormals flush_;
  const T* parameters_;
  T* gradients_;
  Node* last_ = nullptr;
};

} // namespace sbi
