// SPDX-License-Identifier: MIT
// Models and training states as safetensors files: tensors under their dotted names, everything else as JSON
// in the metadata. Written to a temporary file and renamed.
#pragma once
#include <sbi/diffusion/sde.hpp>
#include <sbi/inference/standardise.hpp>
#include <sbi/inference/training_state.hpp>
#include <sbi/io/safetensors.hpp>
#include <sbi/nn/parameters.hpp>

#include <filesystem>

namespace sbi {

template <class T> void save_training_state(const std::filesystem::path& path, TrainingState<T>& state) {
  io::Safetensors file;
  state.each_array([&]<class V>(const char* name, std::vector<V>& values) {
    file.set(name, View<const V>(values.data(), {static_cast<index_t>(values.size())}));
  });
  nlohmann::json counters;
  state.each_counter([&](const char* name, index_t value) { counters[name] = value; });
  counters["stopped_early"] = state.stopped_early;
  file.metadata = {
      {"format", "sbi training state 1"}, {"fingerprint", state.fingerprint}, {"counters", counters.dump()}};
  file.write(path);
}

/// Reads a training state of the same fingerprint; false when there is no such file. Throws FileError for a
/// state of another run or one that cannot be read.
template <class T>
[[nodiscard]] bool load_training_state(const std::filesystem::path& path, TrainingState<T>& state) {
  if (!std::filesystem::exists(path)) return false;
  const io::Safetensors file = io::Safetensors::read(path);
  if (file.meta("fingerprint") != state.fingerprint)
    throw FileError(sbi::text(path.string(), ": the training state belongs to another run (",
                              file.meta("fingerprint"), "); want ", state.fingerprint,
                              ", or another file name"));
  state.each_array([&]<class V>(const char* name, std::vector<V>& values) {
    const auto& stored = file.get<V>(name);
    values.assign(stored.begin(), stored.end());
  });
  const auto counters = nlohmann::json::parse(file.meta("counters"), nullptr, false);
  const auto read = [&]<class V>(const char* name, V& value) {
    if (!counters.is_object() || !counters.contains(name))
      throw FileError(sbi::text(path.string(), ": the training state has no counter '", name, "'"));
    value = counters[name].template get<V>();
  };
  state.each_counter(read);
  read("stopped_early", state.stopped_early);
  return true;
}

namespace detail {

/// Adds all parameters under their names.
template <class T> void put_parameters(io::Safetensors& file, const nn::Parameters<T>& parameters) {
  for (const auto& e : parameters.entries()) file.set(e.name, parameters.view(e));
}
/// Sets all parameters from a file. Throws FileError that lists every difference at once.
template <class T>
void get_parameters(const io::Safetensors& file, const std::filesystem::path& path,
                    nn::Parameters<T>& parameters) {
  std::string differences;
  for (const auto& e : parameters.entries()) {
    if (!file.contains(e.name)) {
      differences += sbi::text("\n  ", e.name, " ", e.at.shape, " is not in the file");
      continue;
    }
    const auto& stored = file.get<T>(e.name);
    if (stored.shape() != e.at.shape) {
      differences += sbi::text("\n  ", e.name, " is ", stored.shape(), "; want ", e.at.shape);
      continue;
    }
    std::copy(stored.begin(), stored.end(), parameters.values().begin() + e.at.offset);
  }
  if (!differences.empty())
    throw FileError(sbi::text(path.string(), ": the model does not fit:", differences));
}

/// Bounds, mean and standard deviation of each node, [nodes, 4].
inline Tensor<double> transforms_tensor(const std::vector<NodeTransform>& transforms) {
  Tensor<double> out({static_cast<index_t>(transforms.size()), 4});
  for (index_t i = 0; i < out.rows(); ++i) {
    const NodeTransform& t = transforms[static_cast<std::size_t>(i)];
    out(i, 0) = t.bounds().low, out(i, 1) = t.bounds().high, out(i, 2) = t.mean(), out(i, 3) = t.stddev();
  }
  return out;
}
inline std::vector<NodeTransform> transforms_from(const Tensor<double>& table) {
  std::vector<NodeTransform> out;
  for (index_t i = 0; i < table.rows(); ++i)
    out.emplace_back(Bounds{table(i, 0), table(i, 1)}, table(i, 2), table(i, 3));
  return out;
}

inline nlohmann::json to_json(const diffusion::VE& sde) {
  return {{"kind", "VE"}, {"sigma_min", sde.sigma_min()}, {"sigma_max", sde.sigma_max()}};
}
template <std::derived_from<diffusion::LinearBeta> S> nlohmann::json to_json(const S& sde) {
  return {{"kind", std::is_same_v<S, diffusion::VP> ? "VP" : "SubVP"},
          {"beta_min", sde.beta_min()},
          {"beta_max", sde.beta_max()},
          {"t_min", sde.t_min()}};
}
template <diffusion::Sde S> S sde_from(const nlohmann::json& j) {
  if constexpr (std::is_same_v<S, diffusion::VE>)
    return S(j.at("sigma_min").get<double>(), j.at("sigma_max").get<double>());
  else
    return S(j.at("beta_min").get<double>(), j.at("beta_max").get<double>(), j.at("t_min").get<double>());
}

/// The JSON configuration of a model file of this format. Throws FileError for another format or broken JSON.
inline nlohmann::json model_configuration(const io::Safetensors& file, const std::filesystem::path& path,
                                          const std::string& format) {
  if (file.meta("format") != format)
    throw FileError(sbi::text(path.string(), ": format is '", file.meta("format"), "'; want '", format, "'"));
  auto configuration = nlohmann::json::parse(file.meta("configuration"), nullptr, false);
  if (!configuration.is_object())
    throw FileError(sbi::text(path.string(), ": its configuration is no JSON object"));
  return configuration;
}

} // namespace detail
} // namespace sbi
