// SPDX-License-Identifier: MIT
// Reverse-mode differentiation of tensor operations. A node is a function pointer and a trivially
// destructible closure in the thread's arena; nothing is reference-counted and nothing is freed one by one.
#pragma once
#include <sbi/autodiff/gradient.hpp>
#include <sbi/autodiff/packed_weights.hpp>
#include <sbi/backend/backend.hpp>
#include <sbi/backend/denormals.hpp>

#include <concepts>
#include <new>
#include <type_traits>

namespace sbi {

/// A value on the tape and where its gradient goes. An empty gradient means that nobody wants it: nothing is
/// computed for it. Slices and reshapes of a Var are Vars of the same storage. The gradient of an input is
/// there after `backward`; that of an operation's result is used up by it.
template <class T> struct Var {
  View<const T> value;
  Gradient<T> grad;

  [[nodiscard]] const Shape& shape() const { return value.shape; }
  [[nodiscard]] bool wants_grad() const { return static_cast<bool>(grad); }
  [[nodiscard]] Var columns(index_t first, index_t count) const {
    return {value.columns(first, count), grad ? grad.columns(first, count) : grad};
  }
  [[nodiscard]] Var row_block(index_t first, index_t count) const {
    return {value.row_block(first, count), grad ? grad.row_block(first, count) : grad};
  }
  [[nodiscard]] Var reshaped(Shape to) const { return {value.reshaped(to), grad ? grad.reshaped(to) : grad}; }
};

namespace detail {
template <class T, class> using Repeat = T;
/// Ops that keep something for their vjp declare `Shape saved(Shape...)`.
template <class Op, class... Shapes>
concept Saves = requires(const Op op, Shapes... shapes) {
  { op.saved(shapes...) } -> std::same_as<Shape>;
};
/// An op whose vjp takes G for gradients and D for that of its result.
template <class Op, class B, class D, class G, class... In>
concept PlaysBack = (Saves<Op, Repeat<Shape, In>...>
                         ? requires(const Op op, B& be, View<const typename B::param_t> c, D dy,
                                    Repeat<G, In>... din) { op.vjp(be, In{}.value..., c, c, dy, din...); }
                         : requires(const Op op, B& be, View<const typename B::param_t> c, D dy,
                                    Repeat<G, In>... din) { op.vjp(be, In{}.value..., c, dy, din...); });
} // namespace detail

/// A differentiable operation: `shape` checks and computes, `fwd` writes the value, `vjp` adds to the
/// gradients of those inputs that want one (an empty view means no). Ops that declare `saved` get one more
/// array, written by fwd and read by vjp, after the output; where they offer a `fwd` without it, that one is
/// called when there will be no vjp. A vjp takes the result's gradient as View<const T> and the inputs' as
/// View<T>, or all of them as Gradient<T>: then it may replace what it need not add to, and use the result's
/// gradient as scratch.
template <class Op, class B, class... In>
concept DifferentiableOp = requires(const Op op) {
  { op.shape(In{}.shape()...) } -> std::same_as<Shape>;
}
&&(detail::Saves<Op, detail::Repeat<Shape, In>...>
       ? requires(const Op op, B& be, View<typename B::param_t> m) { op.fwd(be, In{}.value..., m, m); }
       : requires(const Op op, B& be, View<typename B::param_t> m) { op.fwd(be, In{}.value..., m); }) &&
    (detail::PlaysBack<Op, B, Gradient<typename B::param_t>, Gradient<typename B::param_t>, In...> ||
     detail::PlaysBack<Op, B, View<const typename B::param_t>, View<typename B::param_t>, In...>);

/// Records operations and plays them back in reverse. It lives on one thread, takes its memory from that
/// thread's arena and returns it all when it is destroyed, so a Var does not outlive its tape. Denormals are
/// flushed while it exists, on x86.
template <Backend B> class Tape {
public:
  using T = typename B::param_t;

  /// `parameters`: the model's flat values; `gradients`: the buffer of the same layout that their gradients
  /// are added to, or null when they are frozen; `packed`: the same values packed for products, or null.
  explicit Tape(B& backend, const T* parameters = nullptr, T* gradients = nullptr,
                const PackedWeights<T>* packed = nullptr)
      : backend_(backend), arena_(backend.arena()), scope_(arena_), parameters_(parameters),
        gradients_(gradients), packed_(packed) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  [[nodiscard]] B& backend() { return backend_; }
  [[nodiscard]] Arena& arena() { return arena_; }

  /// A model parameter.
  [[nodiscard]] Var<T> operator()(const Parameter& p) const {
    return {View<const T>(parameters_ + p.offset, p.shape),
            gradients_ ? View<T>(gradients_ + p.offset, p.shape) : View<T>{}};
  }
  /// A weight matrix as products read it; empty where it has not been packed.
  [[nodiscard]] PackedWeight<T> packed(const Parameter& w) const {
    return packed_ ? (*packed_)(w) : PackedWeight<T>{};
  }
  /// Data: no gradient.
  [[nodiscard]] Var<T> constant(View<const T> value) const { return {value, {}}; }
  /// An input whose gradient is added to `grad`. Throws ShapeError where that has another shape.
  [[nodiscard]] Var<T> input(View<const T> value, View<T> grad) const {
    if (grad && grad.shape != value.shape)
      throw ShapeError(sbi::text("tape: an input ", value.shape, " with a gradient ", grad.shape));
    return {value, grad};
  }
  /// An input whose gradient starts at zero in the tape's own memory.
  [[nodiscard]] Var<T> input(View<const T> value) {
    return {value, View<T>(arena_.zeros<T>(value.size()), value.shape)};
  }
  /// Uninitialised memory that lives as long as the tape.
  [[nodiscard]] View<T> scratch(Shape shape) { return {arena_.array<T>(shape.size()), shape}; }

  /// Computes op(in...) and records it if any input wants a gradient.
  template <class Op, std::same_as<Var<T>>... In> Var<T> apply(const Op& op, const In&... in) {
    static_assert(DifferentiableOp<Op, B, In...>, "sbi: an op needs shape(shapes...), fwd(backend, in..., "
                                                  "y[, saved]) and vjp(backend, in..., y[, saved], "
                                                  "dy, din...)");
    static_assert(std::is_trivially_destructible_v<Op>, "sbi: an op is kept in an arena and never destroyed");
    const Shape shape = op.shape(in.shape()...);
    const View<T> y(arena_.array<T>(shape.size()), shape);
    const bool record = (in.wants_grad() || ...);
    constexpr bool saves = detail::Saves<Op, detail::Repeat<Shape, In>...>;
    constexpr bool replaces = detail::PlaysBack<Op, B, Gradient<T>, Gradient<T>, In...>;
    using Result = std::conditional_t<replaces, Gradient<T>, View<const T>>;
    using Sum = std::conditional_t<replaces, Gradient<T>, View<T>>;
    if constexpr (saves && requires { op.fwd(backend_, in.value..., y); })
      if (!record) {
        op.fwd(backend_, in.value..., y);
        return {y, {}};
      }
    if constexpr (saves) {
      const Shape kept = op.saved(in.shape()...);
      const View<T> saved(arena_.array<T>(kept.size()), kept);
      op.fwd(backend_, in.value..., y, saved);
      if (!record) return {y, {}};
      return {y, push(shape, [=](B& be, const Gradient<T>& dy) {
                op.vjp(be, in.value..., View<const T>(y), View<const T>(saved), Result(dy),
                       static_cast<Sum>(in.grad)...);
              })};
    } else {
      op.fwd(backend_, in.value..., y);
      if (!record) return {y, {}};
      return {y, push(shape, [=](B& be, const Gradient<T>& dy) {
                op.vjp(be, in.value..., View<const T>(y), Result(dy), static_cast<Sum>(in.grad)...);
              })};
    }
  }

  /// Adds a cotangent to an output before `backward`.
  void seed(const Var<T>& output, View<const T> cotangent) {
    if (!output.wants_grad()) return;
    if (cotangent.shape.size() != output.shape().size())
      throw ShapeError(sbi::text("tape: cotangent ", cotangent.shape, " for an output ", output.shape()));
    const View<const T> from = cotangent.reshaped(output.shape());
    const View<T> sum = output.grad;
    for (index_t r = 0; r < from.rows(); ++r) {
      const T* w = from.row(r);
      T* to = sum.row(r);
      for (index_t c = 0; c < from.cols(); ++c) to[c] += w[c];
    }
  }
  /// Plays the tape back from the seeds given so far. What no seed depends on is passed over.
  void backward() {
    for (Node* node = last_; node; node = node->previous)
      if (!node->gradient.unwritten) node->play(node, backend_);
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
    ResultGradient<T> gradient;
  };
  /// Records f(backend, gradient of the result) and returns that gradient.
  template <class F> Gradient<T> push(const Shape& shape, const F& f) {
    struct Record : Node {
      Shape shape;
      F f;
      Record(const Node& node, const Shape& s, const F& g) : Node(node), shape(s), f(g) {}
    };
    static_assert(std::is_trivially_destructible_v<Record>);
    auto* record =
        new (arena_.raw(sizeof(Record))) Record({[](Node* node, B& be) {
                                                   auto* self = static_cast<Record*>(node);
                                                   self->f(be, Gradient<T>(self->gradient, self->shape));
                                                 },
                                                 last_,
                                                 {arena_.array<T>(shape.size()), shape.size()}},
                                                shape, f);
    last_ = record;
    return {record->gradient, shape};
  }

  B& backend_;
  Arena& arena_;
  ArenaScope scope_;
  FlushDenormals flush_;
  const T* parameters_;
  T* gradients_;
  const PackedWeights<T>* packed_;
  Node* last_ = nullptr;
};

} // namespace sbi
