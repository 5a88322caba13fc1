// SPDX-License-Identifier: MIT
// What a round of Sinkhorn's algorithm does with single rows and columns of a problem on the device: the
// steps of `alternate` and `symmetrise` in <sbi/ot/sinkhorn.hpp>, which are described there.
#pragma once
#include "pairs.hpp"
#include "reduce.cuh"

namespace sbi::ot::detail {

inline constexpr int memory = 8; ///< of the extrapolation (see Anderson)
inline constexpr int extrapolation_sums = 1 + 2 * memory;

/// Scalars of a problem that pass from kernel to kernel.
struct Scalars {
  unsigned counter;
  int lost;              ///< whether an estimate was too high for a row
  double shift;          ///< of f, towards the largest dual value
  double log_mass_right; ///< log sum_j b_j exp(-g_j / rho_b)
  int stored, has_last, has_best, used;
  int found_best, goes_back; ///< of the last step: its iterate is the best; F of the best is the next
  double best_norm, factor[memory], gram[memory][memory];
};

/// Changes of the residual and of the image, the last residual and image, the image of the best iterate, each
/// [padded].
struct History {
  double* data;
  std::size_t padded;
  __device__ double& change(int slot, int i) const { return data[slot * padded + i]; }
  __device__ double& image(int slot, int i) const { return data[(memory + slot) * padded + i]; }
  __device__ double& last_residual(int i) const { return data[2 * memory * padded + i]; }
  __device__ double& last_image(int i) const { return data[(2 * memory + 1) * padded + i]; }
  __device__ double& best_image(int i) const { return data[(2 * memory + 2) * padded + i]; }
};

/// One side of a problem.
template <class T> struct Side {
  int count, padded;
  const double* value; ///< weights
  const T* log_weight;
  const double* offset;        ///< of the cost, for these points as rows
  const double* column_offset; ///< and as columns: another one between a cloud and itself
  T* potential;
  T* exact; ///< the softmin that would make this side's sums exact
  T* bias;
  double price, log_mass; ///< of leaving the weights; log of their sum
};

/// Factor of the damped update.
__host__ __device__ inline double damping_of(double price, double eps) {
  return isfinite(price) ? price / (price + eps) : 1;
}
template <class T> __device__ inline T damped(T exact, double damping) {
  return static_cast<T>(damping * static_cast<double>(exact));
}
/// F(f) of the round before.
template <class T> __device__ inline T image_of(T exact, double damping, double shift) {
  return static_cast<T>(static_cast<double>(damped(exact, damping)) + shift);
}

enum class Update { none, image, mean, extrapolated };

/// The next f of row i, and its bias.
template <class T>
__device__ inline void update_row(const Side<T>& side, Update update, double damping, double eps,
                                  const Scalars& scalars, const History& history, int i) {
  T f = side.potential[i];
  if (update == Update::image) f = image_of(side.exact[i], damping, scalars.shift);
  if (update == Update::mean) {
    // Points without weight only follow; from 0 on they would not be there when the others are.
    const double exact = damping * static_cast<double>(side.exact[i]);
    f = static_cast<T>(side.value[i] > 0 ? 0.5 * (static_cast<double>(f) + exact) : exact);
  }
  if (update == Update::extrapolated) {
    double next = history.last_image(i);
    if (scalars.found_best) history.best_image(i) = next;
    if (scalars.goes_back)
      next = history.best_image(i);
    else if (side.value[i] > 0)
      for (int k = 0; k < scalars.used; ++k) next -= scalars.factor[k] * history.image(k, i);
    f = static_cast<T>(next);
  }
  side.potential[i] = f;
  side.bias[i] = bias_of(f, side.column_offset[i], side.log_weight[i], eps);
}

/// Takes the residual that the round before has left in row i into the history, and what it adds to the
/// squared norm, to the products of the last change with all, and to those of the residual with all.
template <class T>
__device__ inline void remember_row(const Side<T>& side, double damping, const Scalars& scalars,
                                    const History& history, int i, double (&sum)[extrapolation_sums]) {
  const int slot = scalars.stored % memory, used = min(scalars.stored + 1, memory);
  const bool has_last = scalars.has_last != 0;
  const double image = static_cast<double>(image_of(side.exact[i], damping, scalars.shift));
  const double residual = image - static_cast<double>(side.potential[i]), weight = side.value[i];
  double change = 0;
  if (has_last) {
    change = residual - history.last_residual(i);
    history.change(slot, i) = change;
    history.image(slot, i) = image - history.last_image(i);
  }
  history.last_residual(i) = residual;
  history.last_image(i) = image;
  if (!(weight > 0)) return;
  sum[0] += weight * residual * residual;
  if (!has_last) return;
#pragma unroll
  for (int k = 0; k < memory; ++k)
    if (k < used) {
      const double other = k == slot ? change : history.change(k, i);
      sum[1 + k] += weight * change * other;
      sum[1 + memory + k] += weight * residual * other;
    }
}

/// Least squares by the normal equations with a ridge of the rounding of T, as in Anderson; by one warp, a
/// row of the equations a lane.
template <class T> __device__ inline void solve_extrapolation(Scalars& s, const double* right, int lane) {
  constexpr unsigned all = 0xffffffffU;
  constexpr double ridge = sizeof(T) == 4 ? 1e-8 : 1e-14;
  const int used = s.used;
  double trace = 0, row[memory], x = 0;
  for (int i = 0; i < used; ++i) trace += s.gram[i][i];
#pragma unroll
  for (int k = 0; k < memory; ++k) row[k] = k == lane ? 1 : 0;
  if (lane < used) {
    x = right[lane];
#pragma unroll
    for (int k = 0; k < memory; ++k)
      if (k < used) row[k] = s.gram[lane][k] + (k == lane ? ridge * trace : 0);
  }
  if (!(trace > 0)) {
    __syncwarp();
    if (lane == 0) s.used = 0;
    return;
  }
#pragma unroll
  for (int j = 0; j < memory; ++j) { // Gauss and Jordan; the matrix is positive definite
    if (j < used) {
      const double pivot = fmax(__shfl_sync(all, row[j], j), ridge * trace);
      if (lane == j) row[j] = pivot;
      const double factor = lane == j ? 0 : row[j] / pivot;
      x -= factor * __shfl_sync(all, x, j);
#pragma unroll
      for (int k = j; k < memory; ++k) row[k] -= factor * __shfl_sync(all, row[k], j);
    }
  }
#pragma unroll
  for (int k = 0; k < memory; ++k)
    if (k == lane && k < used) s.factor[k] = x / row[k];
}

/// Decides about the next step from the sums over all rows; by one warp. A step whose residual has grown goes
/// back to the best iterate.
template <class T> __device__ inline void decide_step(Scalars& s, const double* sum, int lane) {
  constexpr double growth = 4; // of the squared norm
  const bool has_last = s.has_last != 0;
  __syncwarp();
  if (lane == 0) {
    const double norm = sum[0];
    const int slot = s.stored % memory, used = min(s.stored + 1, memory);
    s.used = 0;
    s.found_best = !s.has_best || norm < s.best_norm;
    s.goes_back = !s.found_best && !(norm <= growth * s.best_norm);
    if (s.found_best) s.best_norm = norm, s.has_best = 1;
    if (s.goes_back) {
      s.stored = s.has_last = s.has_best = 0;
    } else {
      s.has_last = 1;
      if (has_last) {
        ++s.stored;
        s.used = used;
        for (int k = 0; k < used; ++k) s.gram[slot][k] = s.gram[k][slot] = sum[1 + k];
      }
    }
  }
  __threadfence_block();
  __syncwarp();
  if (!s.goes_back && has_last) solve_extrapolation<T>(s, sum + 1 + memory, lane);
  __syncwarp();
}

/// Forgets what extrapolations have remembered.
__device__ inline void forget(Scalars& s) { s.stored = s.has_last = s.has_best = 0; }

/// Constant shift of f that makes the dual value largest (best_shift): log sums of a exp(-f / rho_a) and the
/// same of b; with an infinite price log of the mass.
__device__ inline double shift_of(double left, double right, double price_left, double price_right) {
  const double slope =
      (isfinite(price_left) ? 1 / price_left : 0) + (isfinite(price_right) ? 1 / price_right : 0);
  return slope > 0 ? (left - right) / slope : 0;
}

/// What a row of the plan of f adds to error and mass.
template <class T>
__device__ inline void check_row(const Side<T>& side, T exact, double eps, int i, double& error,
                                 double& mass) {
  if (!(side.value[i] > 0)) return;
  const double f = static_cast<double>(side.potential[i]), row = exp((f - static_cast<double>(exact)) / eps);
  error += side.value[i] * fabs(row - (isfinite(side.price) ? exp(-f / side.price) : 1));
  mass += side.value[i] * row;
}

/// Several rounds by one launch, on products that are kept.
template <class T> struct StoredRounds {
  Side<T> a, b;           ///< b: not for a cloud and itself
  const T* products;      ///< [a.count, padded columns] <q_i, k_j>
  const T* products_of_b; ///< [b.count, a.padded]
  double eps, mass, enough, linear, last_residual, last_damping;
  int most;
  bool first, known; ///< no round yet; whether there are estimates
  Scalars* scalars;
  History history;
  double* sums;      ///< [2, blocks, sums_of_stored]
  unsigned* arrived; ///< 0
};
inline constexpr int sums_of_stored = extrapolation_sums;

/// What the host hears of rounds.
struct Letter {
  double error, mass;
  int lost, used;
};

/// Products of queries and keys, [queries.count, keys.padded].
template <class T>
void launch_products(const CudaContext& on, const DeviceCloud<T>& queries, const DeviceCloud<T>& keys,
                     T* out);
/// Does rounds until one of them is good enough, with a block a multiprocessor; the letter comes through the
/// mailbox.
template <class T> void launch_stored_rounds(const CudaContext& on, StoredRounds<T> task, bool alternating);

} // namespace sbi::ot::detail
