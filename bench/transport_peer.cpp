// SPDX-License-Identifier: MIT
// Solves the transport problems of a folder and writes what bench/peers/transport_*.py compare with other
// libraries. FOLDER/params.json is
//
//   {"precision": "float" or "double", "problems": [{"name": "p", "solver": "sinkhorn", "data": "p",
//    "repeats": 1, "write": true, "options": {"epsilon": 0.1, ...}}, ...]}
//
// with the arrays of a problem in FOLDER/DATA.{x,y,a,b,cost,cost_x,cost_y,start,directions}.npy, of that
// precision; weights may be missing (uniform). Results go to FOLDER/results.json, plans, potentials and
// gradients to FOLDER/NAME.{plan,f,g,dx,...}.npy where `write` is true. `seconds` is the median of the
// repeats of the solver's call alone, the first call, which also fills caches, left out where there are
// several.
#include "machine.hpp"

#include <sbi/io/npy.hpp>
#include <sbi/io/results.hpp>
#include <sbi/io/text_file.hpp>
#include <sbi/ot.hpp>
#include <sbi/ot/low_rank.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace {
using sbi::index_t;
using sbi::Shape;
using sbi::Tensor;
using sbi::View;
using sbi::io::Results;
namespace ot = sbi::ot;
namespace fs = std::filesystem;
using nlohmann::json;

/// The options of a problem. One that no solver asked for is an error: a misspelt one would go unnoticed.
class Settings {
public:
  explicit Settings(const json& problem) : values_(problem.value("options", json::object())) {}

  [[nodiscard]] bool has(const std::string& name) {
    asked_.insert(name);
    return values_.contains(name);
  }
  template <class V> void read(const std::string& name, V& value) {
    if (has(name)) value = values_.at(name).get<V>();
  }
  template <class V> [[nodiscard]] V get(const std::string& name) {
    if (!has(name)) throw sbi::ValueError(sbi::text("the option ", name, " is missing"));
    return values_.at(name).get<V>();
  }
  /// One of some words.
  template <class V>
  void read(const std::string& name, V& value, const std::vector<std::pair<std::string, V>>& words) {
    if (!has(name)) return;
    const auto word = values_.at(name).get<std::string>();
    for (const auto& [known, meaning] : words)
      if (word == known) {
        value = meaning;
        return;
      }
    throw sbi::ValueError(sbi::text("the option ", name, " is '", word, "', which is not known"));
  }
  void check() const {
    for (const auto& [name, value] : values_.items())
      if (!asked_.contains(name)) throw sbi::ValueError(sbi::text("the option ", name, " is not known"));
  }

private:
  json values_;
  std::set<std::string> asked_;
};

[[nodiscard]] ot::SinkhornOptions sinkhorn_options(Settings& from) {
  ot::SinkhornOptions to;
  to.epsilon = from.get<double>("epsilon");
  from.read("rho_a", to.rho_a), from.read("rho_b", to.rho_b);
  from.read("tolerance", to.tolerance), from.read("max_iterations", to.max_iterations);
  from.read("scaling", to.scaling);
  from.read("costs", to.costs,
            {{"automatic", ot::Costs::automatic},
             {"stored", ot::Costs::stored},
             {"recomputed", ot::Costs::recomputed}});
  from.read("domain", to.domain,
            {{"automatic", ot::SinkhornDomain::automatic}, {"log", ot::SinkhornDomain::log}});
  return to;
}
/// One problem: its arrays, and the file that each result goes to.
template <class T> class Case {
public:
  Case(const sbi::Cpu<T>& be, fs::path folder, const json& problem)
      : backend(be), options(problem), folder_(std::move(folder)), name_(problem.at("name")),
        data_(problem.value("data", name_)), repeats_(problem.value("repeats", 1)),
        write_(problem.value("write", false)) {
    if (repeats_ < 1) throw sbi::ValueError(sbi::text("repeats = ", repeats_, "; want 1 or more"));
  }

  [[nodiscard]] bool has(const std::string& name) const { return fs::exists(input(name)); }
  /// A matrix of the problem; read once.
  [[nodiscard]] View<const T> matrix(const std::string& name) {
    return sbi::as_view(std::as_const(kept(matrices_, name)));
  }
  /// A matrix that may be missing.
  [[nodiscard]] View<const T> optional(const std::string& name) {
    return has(name) ? matrix(name) : View<const T>{};
  }
  [[nodiscard]] std::span<const T> weights(const std::string& name) {
    if (!has(name)) return {};
    const auto& w = kept(vectors_, name);
    return {w.data(), w.size()};
  }
  /// The coordinates of points on a line.
  [[nodiscard]] std::span<const T> line(const std::string& name) {
    const View<const T> x = matrix(name);
    return {x.data, static_cast<std::size_t>(x.size())};
  }

  /// Runs a solver, with the time it takes.
  template <class F> auto solve(F&& run) {
    using Clock = std::chrono::steady_clock;
    options.check();
    if (repeats_ > 1) (void)run();
    std::vector<double> seconds;
    for (int r = 1;; ++r) {
      const auto begin = Clock::now();
      auto result = run();
      seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
      if (r < repeats_) continue;
      std::nth_element(seconds.begin(), seconds.begin() + repeats_ / 2, seconds.end());
      seconds_ = seconds[static_cast<std::size_t>(repeats_ / 2)];
      figures.set("seconds", seconds_);
      return result;
    }
  }
  void iterations(long count) {
    figures.set("iterations", count).set("seconds_per_iteration", count > 0 ? seconds_ / double(count) : 0.0);
  }

  [[nodiscard]] bool writes() const { return write_; }
  template <class V> void write(const std::string& name, const Tensor<V>& x) const {
    if (write_) sbi::io::write_npy(output(name), sbi::as_xtensor<2>(x));
  }
  template <class V> void write(const std::string& name, const std::vector<V>& x) const {
    if (write_) sbi::io::write_npy(output(name), xt::adapt(x, std::array<std::size_t, 1>{x.size()}));
  }
  void write(const std::vector<ot::Shipment>& plan, index_t n, index_t m) const {
    if (!write_) return;
    Tensor<double> dense(Shape{n, m});
    for (const ot::Shipment& s : plan) dense(s.from, s.to) += s.mass;
    write("plan", dense);
  }

  const sbi::Cpu<T>& backend;
  Settings options;
  Results figures;

private:
  [[nodiscard]] fs::path input(const std::string& name) const {
    return folder_ / sbi::text(data_, '.', name, ".npy");
  }
  [[nodiscard]] fs::path output(const std::string& name) const {
    return folder_ / sbi::text(name_, '.', name, ".npy");
  }
  template <class Array> const Array& kept(std::map<std::string, Array>& where, const std::string& name) {
    const auto [at, made] = where.try_emplace(name);
    if (made) at->second = sbi::io::read_npy<T, xt::get_rank<Array>::value>(input(name));
    return at->second;
  }

  fs::path folder_;
  std::string name_, data_;
  int repeats_;
  bool write_;
  double seconds_ = 0;
  std::map<std::string, xt::xtensor<T, 2>> matrices_;
  std::map<std::string, xt::xtensor<T, 1>> vectors_;
};

template <class T> void sinkhorn(Case<T>& c) {
  ot::SinkhornOptions run = sinkhorn_options(c.options);
  const auto a = c.weights("a"), b = c.weights("b");
  const bool points = !c.has("cost");
  const View<const T> x = points ? c.matrix("x") : View<const T>{},
                      y = points ? c.matrix("y") : View<const T>{},
                      cost = points ? View<const T>{} : c.matrix("cost");
  const auto result = c.solve([&] {
    return points ? ot::sinkhorn(c.backend, ot::SquaredEuclidean{}, x, y, a, b, run)
                  : ot::sinkhorn(c.backend, cost, a, b, run);
  });
  c.iterations(result.iterations);
  c.figures.set("value", result.value).set("residual", result.residual).set("converged", result.converged);
  c.write("f", result.f), c.write("g", result.g);
  if (!c.writes()) return;
  const Tensor<T> matrix =
      points ? ot::cost_matrix(c.backend, ot::SquaredEuclidean{}, x, y) : Tensor<T>(Shape{0, 0});
  c.write("plan", ot::transport_plan(c.backend, points ? View<const T>(matrix.view()) : cost, a, b, result,
                                     run.epsilon));
}

template <class T> void sinkhorn_divergence(Case<T>& c) {
  ot::DivergenceOptions run;
  run.sinkhorn = sinkhorn_options(c.options);
  run.unconverged = ot::Unconverged::report;
  c.options.read("gradients", run.gradients);
  const View<const T> x = c.matrix("x"), y = c.matrix("y");
  const auto a = c.weights("a"), b = c.weights("b");
  const auto result =
      c.solve([&] { return ot::sinkhorn_divergence(c.backend, ot::SquaredEuclidean{}, x, y, a, b, run); });
  c.iterations(result.iterations);
  c.figures.set("value", result.value).set("residual", result.residual).set("converged", result.converged);
  if (run.gradients) c.write("dx", result.dx), c.write("dy", result.dy);
}

template <class T> void exact_transport(Case<T>& c) {
  const View<const T> cost = c.matrix("cost");
  const auto a = c.weights("a"), b = c.weights("b");
  const auto result = c.solve([&] { return ot::exact_transport<T>(cost, a, b); });
  c.figures.set("value", result.value).set("converged", result.optimal).set("pivots", result.pivots);
  c.write("f", result.f), c.write("g", result.g);
  c.write(result.plan, cost.rows(), cost.cols());
}

template <class T> void partial_transport(Case<T>& c) {
  const View<const T> cost = c.matrix("cost");
  const auto a = c.weights("a"), b = c.weights("b");
  const auto mass = c.options.template get<double>("mass");
  const auto result = c.solve([&] { return ot::partial_transport<T>(cost, a, b, mass); });
  c.figures.set("value", result.value).set("converged", result.converged).set("pivots", result.pivots);
  c.write(result.plan, cost.rows(), cost.cols());
}

template <class T> void partial_sinkhorn(Case<T>& c) {
  const ot::SinkhornOptions run = sinkhorn_options(c.options);
  const View<const T> cost = c.matrix("cost");
  const auto a = c.weights("a"), b = c.weights("b");
  const auto mass = c.options.template get<double>("mass");
  const auto result = c.solve([&] { return ot::partial_sinkhorn(c.backend, cost, a, b, mass, run); });
  c.iterations(result.iterations);
  c.figures.set("value", result.value).set("residual", result.residual).set("converged", result.converged);
  if (c.writes()) c.write("plan", ot::transport_plan(c.backend, cost, a, b, result, run.epsilon));
}

template <class T> void line_transport(Case<T>& c) {
  const auto x = c.line("x"), y = c.line("y"), a = c.weights("a"), b = c.weights("b");
  const auto power = c.options.template get<double>("power");
  const auto result = c.solve([&] { return ot::line_transport<T>(x, y, a, b, power); });
  c.figures.set("value", result.value).set("converged", true);
  c.write(result.plan, static_cast<index_t>(x.size()), static_cast<index_t>(y.size()));
}

template <class T> void sliced_wasserstein(Case<T>& c) {
  const View<const T> x = c.matrix("x"), y = c.matrix("y"), directions = c.matrix("directions");
  const auto a = c.weights("a"), b = c.weights("b");
  const auto power = c.options.template get<double>("power");
  const auto result =
      c.solve([&] { return ot::sliced_wasserstein(c.backend, x, y, a, b, directions, power); });
  c.figures.set("value", result.value).set("converged", true);
  c.write("dx", result.dx), c.write("dy", result.dy);
}

template <class T> void entropic_gromov(Case<T>& c) {
  ot::GromovOptions run;
  run.sinkhorn = sinkhorn_options(c.options);
  c.options.read("outer_tolerance", run.tolerance);
  c.options.read("outer_iterations", run.max_iterations);
  c.options.read("trial_iterations", run.trial_iterations), c.options.read("gradients", run.gradients);
  const View<const T> x = c.matrix("x"), y = c.matrix("y");
  const auto a = c.weights("a"), b = c.weights("b");
  const auto result = c.solve([&] { return ot::entropic_gromov(c.backend, x, y, a, b, run); });
  c.iterations(result.iterations);
  c.figures.set("value", result.value).set("objective", result.objective).set("converged", result.converged);
  if (c.writes())
    c.write("plan", ot::transport_plan(c.backend, ot::stored_cost(c.backend, result.cost).view(), a, b,
                                       result.plan, run.sinkhorn.epsilon));
}

enum class FusedSolver { exact, entropic, proximal };

template <class T, FusedSolver solver> void fused(Case<T>& c) {
  ot::FusedOptions run;
  if constexpr (solver != FusedSolver::exact) {
    run.sinkhorn = sinkhorn_options(c.options);
  }
  c.options.read("alpha", run.alpha), c.options.read("outer_tolerance", run.tolerance);
  c.options.read("outer_iterations", run.max_iterations);
  c.options.read("trial_iterations", run.trial_iterations);
  c.options.read("random_starts", run.random_starts), c.options.read("gradients", run.gradients);
  const View<const T> cost = c.optional("cost"), x = c.matrix("cost_x"), y = c.matrix("cost_y"),
                      start = c.optional("start");
  const auto a = c.weights("a"), b = c.weights("b");
  const auto result = c.solve([&] {
    if constexpr (solver == FusedSolver::exact)
      return ot::exact_fused(c.backend, cost, x, y, a, b, run, ot::SquareLoss{}, start);
    else if constexpr (solver == FusedSolver::entropic)
      return ot::entropic_fused(c.backend, cost, x, y, a, b, run, ot::SquareLoss{}, start);
    else
      return ot::proximal_fused(c.backend, cost, x, y, a, b, run, ot::SquareLoss{}, start);
  });
  c.iterations(result.iterations);
  c.figures.set("value", result.value).set("objective", result.objective).set("converged", result.converged);
  c.write("plan", result.plan);
}

template <class T, bool gromov> void low_rank(Case<T>& c) {
  ot::LowRankOptions run;
  run.rank = c.options.template get<index_t>("rank");
  c.options.read("tolerance", run.tolerance), c.options.read("max_iterations", run.max_iterations);
  c.options.read("min_iterations", run.min_iterations), c.options.read("seed", run.seed);
  c.options.read("starts", run.starts), c.options.read("trial_iterations", run.trial_iterations);
  c.options.read("start", run.start,
                 {{"clusters", ot::LowRankStart::clusters}, {"random", ot::LowRankStart::random}});
  const View<const T> x = c.matrix("x"), y = c.matrix("y");
  const auto a = c.weights("a"), b = c.weights("b");
  const auto result = c.solve([&] {
    if constexpr (gromov)
      return ot::low_rank_gromov(c.backend, x, y, a, b, run);
    else
      return ot::low_rank_transport(c.backend, x, y, a, b, run);
  });
  c.iterations(result.iterations);
  c.figures.set("value", result.value).set("residual", result.residual).set("converged", result.converged);
  c.write("q", result.q), c.write("r", result.r), c.write("weights", result.g);
}

template <class T> void sinkhorn_batch(Case<T>& c) {
  ot::BatchOptions run;
  run.sinkhorn = sinkhorn_options(c.options);
  const auto count = c.options.template get<index_t>("count");
  const View<const T> cost = c.matrix("cost"), a = c.optional("a"), b = c.optional("b");
  const auto items = c.solve([&] { return ot::sinkhorn_batch(c.backend, cost, count, a, b, run); });
  std::vector<double> values;
  long iterations = 0;
  double residual = 0;
  bool converged = true;
  for (const auto& item : items) {
    values.push_back(item.value), iterations += item.iterations;
    residual = std::max(residual, item.residual), converged &= item.converged;
  }
  c.iterations(iterations);
  c.figures.set("residual", residual).set("converged", converged);
  c.write("values", values);
  if (!c.writes()) return;
  const index_t n = cost.rows() / count;
  Tensor<T> plans(cost.shape);
  const auto row = [](View<const T> w, index_t k) {
    return w ? std::span<const T>(w.row(k), static_cast<std::size_t>(w.cols())) : std::span<const T>{};
  };
  for (index_t k = 0; k < count; ++k) {
    const Tensor<T> plan = ot::transport_plan(c.backend, cost.row_block(k * n, n), row(a, k), row(b, k),
                                              items[static_cast<std::size_t>(k)], run.sinkhorn.epsilon);
    std::copy(plan.begin(), plan.end(), plans.row(k * n));
  }
  c.write("plan", plans);
}

/// Of the weights in the rows of b, all on the points x.
template <class T> void barycentre(Case<T>& c) {
  ot::BarycentreOptions run;
  run.sinkhorn = sinkhorn_options(c.options);
  const auto shares = c.options.template get<std::vector<double>>("shares");
  const View<const T> x = c.matrix("x"), b = c.matrix("b");
  if (static_cast<index_t>(shares.size()) != b.rows())
    throw sbi::ShapeError(sbi::text(shares.size(), " shares for ", b.rows(), " clouds"));
  std::vector<ot::BarycentreInput<T>> clouds;
  for (index_t k = 0; k < b.rows(); ++k)
    clouds.push_back(
        {x, {b.row(k), static_cast<std::size_t>(b.cols())}, shares[static_cast<std::size_t>(k)]});
  const auto result =
      c.solve([&] { return ot::barycentre(c.backend, ot::SquaredEuclidean{}, x, clouds, run); });
  c.iterations(result.iterations);
  c.figures.set("residual", result.residual).set("converged", result.converged);
  c.write("weights", result.weights);
}

template <class T> [[nodiscard]] const std::map<std::string, void (*)(Case<T>&)>& solvers() {
  static const std::map<std::string, void (*)(Case<T>&)> all{
      {"sinkhorn", sinkhorn<T>},
      {"sinkhorn_divergence", sinkhorn_divergence<T>},
      {"exact_transport", exact_transport<T>},
      {"partial_transport", partial_transport<T>},
      {"partial_sinkhorn", partial_sinkhorn<T>},
      {"line_transport", line_transport<T>},
      {"sliced_wasserstein", sliced_wasserstein<T>},
      {"entropic_gromov", entropic_gromov<T>},
      {"exact_fused", fused<T, FusedSolver::exact>},
      {"entropic_fused", fused<T, FusedSolver::entropic>},
      {"proximal_fused", fused<T, FusedSolver::proximal>},
      {"low_rank_transport", low_rank<T, false>},
      {"low_rank_gromov", low_rank<T, true>},
      {"sinkhorn_batch", sinkhorn_batch<T>},
      {"barycentre", barycentre<T>}};
  return all;
}

/// Solves the problems of one precision; gives whether none ended in an error.
template <class T>
bool solve_all(const fs::path& folder, const json& params, const std::string& only, int threads,
               std::vector<Results>& out) {
  const sbi::Cpu<T> backend(threads);
  bool fine = true;
  for (const json& problem : params.at("problems")) {
    const auto solver = problem.at("solver").get<std::string>(), name = problem.at("name").get<std::string>();
    if (!only.empty() && only != solver) continue;
    Case<T> c(backend, folder, problem);
    c.figures.set("name", name).set("solver", solver);
    try {
      const auto known = solvers<T>().find(solver);
      if (known == solvers<T>().end()) throw sbi::ValueError(sbi::text("there is no solver ", solver));
      known->second(c);
    } catch (const std::exception& error) { // the others are to be solved all the same
      c.figures.set("error", std::string(error.what()));
      std::fprintf(stderr, "transport_peer: %s: %s\n", name.c_str(), error.what());
      fine = false;
    }
    out.push_back(std::move(c.figures));
  }
  return fine;
}

/// The most memory that this process has had resident. Not getrusage's, which begins with that of the process
/// that started this one.
[[nodiscard]] long peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6)) * 1024;
  return 0;
}

[[nodiscard]] Results machine(int threads, bool peak) {
  const sbi::Cpu<float> backend(threads);
  Results out;
  out.set("threads", backend.threads());
  out.set("instruction_set", sbi::native_vector_bytes == 64   ? "AVX-512"
                             : sbi::native_vector_bytes == 32 ? "AVX2"
                                                              : "SSE2");
  out.set("compiler", __VERSION__).set("peak_bytes", peak_bytes());
  if (peak) out.set("peak_gflops", sbi::bench::fma_peak(backend));
  return out;
}
} // namespace

int main(int argc, char** argv) {
  CLI::App app("Solves the transport problems of a folder; bench/peers/transport_*.py write and read it.");
  std::string folder, only;
  int threads = 0;
  bool peak = false, list = false;
  app.add_option("folder", folder, "Folder with params.json and the arrays of the problems");
  app.add_option("--solver", only, "Only the problems of this solver");
  app.add_option("--threads", threads, "Threads (0: as many as the machine has)")
      ->check(CLI::NonNegativeNumber);
  app.add_flag("--peak", peak, "Also measure the multiply-adds a second that registers alone allow");
  app.add_flag("--list", list, "Print the solvers and stop");
  CLI11_PARSE(app, argc, argv);
  try {
    if (list) {
      for (const auto& [name, run] : solvers<float>()) std::printf("%s\n", name.c_str());
      return 0;
    }
    if (folder.empty()) throw sbi::ValueError("no folder is given");
    const json params = json::parse(sbi::io::read_file(fs::path(folder) / "params.json"));
    const auto precision = params.at("precision").get<std::string>();
    if (precision != "float" && precision != "double")
      throw sbi::ValueError(sbi::text("precision is ", precision, "; want float or double"));
    std::vector<Results> problems;
    const bool fine = precision == "float" ? solve_all<float>(folder, params, only, threads, problems)
                                           : solve_all<double>(folder, params, only, threads, problems);
    Results results;
    results.set("machine", machine(threads, peak)).set("precision", precision).set("problems", problems);
    results.write(fs::path(folder) / "results.json");
    return fine ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "transport_peer: %s\n", error.what());
    return 2;
  }
}
