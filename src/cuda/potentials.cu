// SPDX-License-Identifier: MIT
// The rounds of Sinkhorn's algorithm with potentials that stay on the device. The host hears of a round, or
// of several by one launch where products are kept, two sums only.
#include "potentials.cuh"

#include <cmath>

namespace sbi::ot::detail {
namespace {

template <class T, Update update>
__global__ void update_potential(Side<T> side, double damping, double eps, Scalars* scalars,
                                 History history) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (update == Update::image && i == 0) forget(*scalars);
  if (i < side.count)
    update_row(side, update, damping, eps, *scalars, history, i);
  else if (i < side.padded)
    side.bias[i] = -static_cast<T>(INFINITY);
}

/// Takes the residual of the round before into the history and finds the factors of the extrapolation.
template <class T>
__global__ void __launch_bounds__(element_threads)
    extrapolate(Side<T> side, double damping, Scalars* scalars, History history,
                GridSums<extrapolation_sums>* blocks) {
  __shared__ double all[extrapolation_sums];
  GridSums<extrapolation_sums> sums{};
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < side.count;
       i += static_cast<int>(gridDim.x * blockDim.x))
    remember_row(side, damping, *scalars, history, i, sums.sum);
  if (!grid_sums(sums, false, blocks, &scalars->counter) || threadIdx.x >= 32) return;
  if (threadIdx.x == 0)
    for (int k = 0; k < extrapolation_sums; ++k) all[k] = sums.sum[k];
  __syncwarp();
  decide_step<T>(*scalars, all, static_cast<int>(threadIdx.x));
}

/// The new g and its biases.
template <class T>
__global__ void __launch_bounds__(element_threads)
    finish_columns(Side<T> side, const PartialSum<T>* partial, int splits, double eps, bool estimated,
                   Scalars* scalars, GridSums<1>* blocks) {
  GridSums<1> sums{};
  const bool with_log = isfinite(side.price);
  const double damping = damping_of(side.price, eps);
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < side.padded;
       i += static_cast<int>(gridDim.x * blockDim.x)) {
    if (i >= side.count) {
      side.bias[i] = -static_cast<T>(INFINITY);
      continue;
    }
    bool lost;
    const double sum = log2_sum(partial, splits, side.padded, i, lost);
    if (lost && estimated) scalars->lost = 1;
    const T exact = static_cast<T>(side.offset[i] - eps * log_2_of_device * sum), g = damped(exact, damping);
    side.exact[i] = exact;
    side.potential[i] = g;
    side.bias[i] = bias_of(g, side.column_offset[i], side.log_weight[i], eps);
    if (with_log && isfinite(side.log_weight[i]))
      sums.log_sum.add(static_cast<double>(side.log_weight[i]) - static_cast<double>(g) / side.price);
  }
  if (with_log && grid_sums(sums, true, blocks, &scalars->counter) && threadIdx.x == 0)
    scalars->log_mass_right = sums.log_sum.log();
}

/// The softmin that the next f comes from, the residual of f and the mass of its plan.
template <class T>
__global__ void __launch_bounds__(element_threads)
    finish_rows(Side<T> side, const PartialSum<T>* partial, int splits, double eps, bool estimated,
                bool alternating, double price_right, double log_mass_right, Scalars* scalars,
                GridSums<2>* blocks, Letter* letter) {
  GridSums<2> sums{};
  const bool with_log = alternating && isfinite(side.price);
  const double damping = damping_of(side.price, eps);
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < side.count;
       i += static_cast<int>(gridDim.x * blockDim.x)) {
    bool lost;
    const double sum = log2_sum(partial, splits, side.padded, i, lost);
    if (lost && estimated) scalars->lost = 1;
    const T exact = static_cast<T>(side.offset[i] - eps * log_2_of_device * sum);
    side.exact[i] = exact;
    if (with_log && isfinite(side.log_weight[i]))
      sums.log_sum.add(static_cast<double>(side.log_weight[i]) -
                       static_cast<double>(damped(exact, damping)) / side.price);
    check_row(side, exact, eps, i, sums.sum[0], sums.sum[1]);
  }
  if (!grid_sums(sums, with_log, blocks, &scalars->counter) || threadIdx.x != 0) return;
  if (alternating)
    scalars->shift =
        shift_of(isfinite(side.price) ? sums.log_sum.log() : side.log_mass,
                 isfinite(price_right) ? scalars->log_mass_right : log_mass_right, side.price, price_right);
  *letter = {sums.sum[0], sums.sum[1], atomicExch(&scalars->lost, 0), 1};
}

/// A side's memory.
template <class T> struct SideMemory {
  Buffer<double> value;
  Buffer<T> log_weight, potential, exact, bias;
  Side<T> view;

  SideMemory(const CudaContext& on, const DeviceCloud<T>& cloud, const DeviceCloud<T>& as_columns,
             const DeviceMarginal<T>& weights)
      : value(on, static_cast<std::size_t>(cloud.count)), log_weight(on, value.size()),
        potential(on, static_cast<std::size_t>(cloud.padded)), exact(on, potential.size()),
        bias(on, potential.size()), view{cloud.count,      cloud.padded,          value.get(),
                                         log_weight.get(), cloud.offset.get(),    as_columns.offset.get(),
                                         potential.get(),  exact.get(),           bias.get(),
                                         weights.price,    std::log(weights.mass)} {
    value.upload(weights.value, value.size());
    log_weight.upload(weights.log, value.size());
    potential.clear(), exact.clear(); // entries that are filled up stay 0
  }
};
} // namespace

template <class T> struct DevicePotentials<T>::State {
  const CudaContext& on;
  DevicePairs<T> cost;
  SideMemory<T> a;
  std::unique_ptr<SideMemory<T>> b; // none for a cloud and itself
  double mass;
  Partition to_a, to_b;
  Buffer<PartialSum<T>> partial;
  Buffer<double> past;
  Buffer<Scalars> scalars;
  Buffer<GridSums<extrapolation_sums>> blocks;
  Buffer<T> products, products_of_b; // where they are kept
  Buffer<double> sums;
  Buffer<unsigned> arrived;
  bool first = true, known = false; // no round yet; whether there are estimates
  double last_damping = 1, last_residual = INFINITY;

  State(const DevicePairs<T>& pairs, const DeviceMarginal<T>& left, const DeviceMarginal<T>* right,
        const T* f, bool stored)
      : on(pairs.context()), cost(pairs),
        a(on, pairs.queries(), right ? pairs.queries() : pairs.keys(), left),
        b(right ? std::make_unique<SideMemory<T>>(on, pairs.keys(), pairs.keys(), *right) : nullptr),
        mass(left.mass), to_a(partition_of(on, pairs.queries(), pairs.keys())), scalars(on, 1),
        blocks(on, most_blocks) {
    std::size_t most = static_cast<std::size_t>(to_a.splits) * pairs.queries().padded;
    if (b) {
      to_b = partition_of(on, pairs.keys(), pairs.queries());
      most = std::max(most, static_cast<std::size_t>(to_b.splits) * pairs.keys().padded);
      past = Buffer<double>(on, (2 * memory + 3) * static_cast<std::size_t>(a.view.padded));
    }
    if (stored)
      keep_products();
    else
      partial = Buffer<PartialSum<T>>(on, most);
    scalars.clear();
    a.potential.upload(f, static_cast<std::size_t>(a.view.count));
  }
  void keep_products() {
    const DeviceCloud<T>&rows = cost.queries(), &columns = cost.keys();
    const auto size = [](int count, int padded) { return static_cast<std::size_t>(count) * padded; };
    products = Buffer<T>(on, size(rows.count, columns.padded));
    launch_products<T>(on, rows, columns, products.get());
    if (b) {
      products_of_b = Buffer<T>(on, size(columns.count, rows.padded));
      launch_products<T>(on, columns, rows, products_of_b.get());
    }
    sums = Buffer<double>(on, 2 * static_cast<std::size_t>(on.multiprocessors()) * sums_of_stored);
    arrived = Buffer<unsigned>(on, 1);
  }
  [[nodiscard]] History history() const { return {past.get(), static_cast<std::size_t>(a.view.padded)}; }

  template <Update update> void next_f(double damping, double eps) {
    const auto grid = static_cast<unsigned>((a.view.padded + element_threads - 1) / element_threads);
    update_potential<T, update>
        <<<grid, element_threads, 0, on.stream()>>>(a.view, damping, eps, scalars.get(), history());
    check_launch("launch of update_potential");
  }
  void softmin(const DevicePairs<T>& pairs, const Side<T>& rows, const Side<T>& columns,
               const Partition& partition, double eps) {
    launch_softmin<T>(on, {pairs.queries().points.get(), pairs.keys().points.get(), columns.bias, rows.offset,
                           known ? rows.exact : nullptr, 1 / (eps * log_2_of_device), partial.get(),
                           rows.padded, columns.padded, pairs.queries().padded_width, partition});
  }
  /// The rows of f, and what the host is to know.
  Letter rows(double eps) {
    const Side<T>& other = b ? b->view : a.view;
    softmin(cost, a.view, other, to_a, eps);
    Letter* letter = static_cast<Letter*>(on.mailbox());
    finish_rows<<<element_blocks(a.view.count), element_threads, 0, on.stream()>>>(
        a.view, partial.get(), to_a.splits, eps, known, b != nullptr, other.price, other.log_mass,
        scalars.get(), reinterpret_cast<GridSums<2>*>(blocks.get()), letter);
    check_launch("launch of finish_rows");
    on.synchronize();
    return *letter;
  }
  /// Repeats a round without estimates where one of them was wrong.
  template <class F> Rounds checked(F&& round) {
    Letter letter = round();
    if (letter.lost && known) {
      known = false;
      letter = round();
    }
    known = true, first = false;
    last_residual = letter.error / mass;
    return {1, last_residual, letter.mass};
  }
  Rounds stored_rounds(const Wish& wish) {
    constexpr int a_launch = 64; // other users of the device get their turn
    arrived.clear();
    launch_stored_rounds<T>(on,
                            {a.view, b ? b->view : a.view, products.get(), products_of_b.get(), wish.eps,
                             mass, wish.enough, wish.linear, last_residual, last_damping,
                             std::min(wish.most, a_launch), first, known, scalars.get(), history(),
                             sums.get(), arrived.get()},
                            b != nullptr);
    on.synchronize();
    const Letter letter = *static_cast<const Letter*>(on.mailbox());
    first = false, known = true;
    last_damping = damping_of(a.view.price, wish.eps);
    last_residual = letter.error / mass;
    return {letter.used, last_residual, letter.mass};
  }
};

template <class T>
DevicePotentials<T>::DevicePotentials(const DevicePairs<T>& cost, const DeviceMarginal<T>& a,
                                      const DeviceMarginal<T>& b, const T* f, bool stored) {
  const OnDeviceScope scope(cost.context());
  state_ = std::make_unique<State>(cost, a, &b, f, stored);
}
template <class T>
DevicePotentials<T>::DevicePotentials(const DevicePairs<T>& cost, const DeviceMarginal<T>& a, const T* f,
                                      bool stored) {
  const OnDeviceScope scope(cost.context());
  state_ = std::make_unique<State>(cost, a, nullptr, f, stored);
}
template <class T> DevicePotentials<T>::~DevicePotentials() = default;
template <class T> DevicePotentials<T>::DevicePotentials(DevicePotentials&&) noexcept = default;

template <class T> auto DevicePotentials<T>::alternate(const Wish& wish) -> Rounds {
  State& s = *state_;
  const OnDeviceScope scope(s.on);
  if (s.products.size()) return s.stored_rounds(wish);
  const double eps = wish.eps;
  if (s.first) {
    s.template next_f<Update::none>(1, eps);
  } else if (s.last_residual < wish.linear) {
    extrapolate<<<element_blocks(s.a.view.count), element_threads, 0, s.on.stream()>>>(
        s.a.view, s.last_damping, s.scalars.get(), s.history(), s.blocks.get());
    check_launch("launch of extrapolate");
    s.template next_f<Update::extrapolated>(s.last_damping, eps);
  } else {
    s.template next_f<Update::image>(s.last_damping, eps);
  }
  s.last_damping = damping_of(s.a.view.price, eps);
  const DevicePairs<T> cost_t = s.cost.transposed();
  return s.checked([&] {
    const Side<T>& b = s.b->view;
    s.softmin(cost_t, b, s.a.view, s.to_b, eps);
    finish_columns<<<element_blocks(b.padded), element_threads, 0, s.on.stream()>>>(
        b, s.partial.get(), s.to_b.splits, eps, s.known, s.scalars.get(),
        reinterpret_cast<GridSums<1>*>(s.blocks.get()));
    check_launch("launch of finish_columns");
    return s.rows(eps);
  });
}

template <class T> auto DevicePotentials<T>::symmetrise(const Wish& wish) -> Rounds {
  State& s = *state_;
  const OnDeviceScope scope(s.on);
  if (s.products.size()) return s.stored_rounds(wish);
  if (s.first)
    s.template next_f<Update::none>(1, wish.eps);
  else
    s.template next_f<Update::mean>(damping_of(s.a.view.price, wish.eps), wish.eps);
  return s.checked([&] { return s.rows(wish.eps); });
}

template <class T> void DevicePotentials<T>::read(T* f, T* g) const {
  const OnDeviceScope scope(state_->on);
  state_->a.potential.download(f, static_cast<std::size_t>(state_->a.view.count));
  if (g && state_->b) state_->b->potential.download(g, static_cast<std::size_t>(state_->b->view.count));
}

template class DevicePotentials<float>;
template class DevicePotentials<double>;

} // namespace sbi::ot::detail
