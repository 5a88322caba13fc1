// SPDX-License-Identifier: MIT
// What model files hold, whatever type the model is of.
#pragma once
#include <sbi/compiled.hpp>
#include <sbi/diffusion/conditioning.hpp>
#include <sbi/diffusion/sde.hpp>
#include <sbi/inference/nodes.hpp>
#include <sbi/inference/standardise.hpp>
#include <sbi/io/json_text.hpp>
#include <sbi/io/safetensors.hpp>
#include <sbi/nn/parameters.hpp>
#include <sbi/nn/transformer.hpp>

#include <algorithm>
#include <concepts>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sbi::detail {

/// A diffusion by name and numbers.
struct SdeRecord {
  std::string kind;
  std::map<std::string, double> numbers;
};

/// What only a domain-adaptive model has.
struct EncodersRecord {
  index_t embedding_width = 0;
  std::vector<index_t> encoder_hidden, adapter_hidden;
  std::vector<std::pair<std::string, std::vector<std::string>>> surveys; ///< name, observables
};

/// A model as its file holds it: tensors under their dotted names, standardisation among them, and the
/// configuration, which becomes JSON in the metadata.
struct ModelRecord {
  std::string format;
  nn::TransformerConfig transformer;
  index_t value_octaves = 0;
  bool cached_context = true;
  diffusion::ConditionWeights conditions; ///< a training that goes on needs them
  SdeRecord sde;
  std::vector<std::string> nodes;
  index_t parameters = 0; ///< that many of the nodes come first
  std::optional<EncodersRecord> encoders;
  io::Safetensors tensors;
};

/// Throws FileError; nothing is left half-written.
inline void write_record(ModelRecord record, const std::filesystem::path& path) {
  const auto& t = record.transformer;
  const auto& c = record.conditions;
  const auto transformer = io::JsonObject()
                               .add("width", t.width)
                               .add("layers", t.layers)
                               .add("heads", t.heads)
                               .add("mlp_factor", t.mlp_factor)
                               .add("time_width", t.time_width);
  const auto conditions = io::JsonObject()
                              .add("joint", c.joint)
                              .add("posterior", c.posterior)
                              .add("likelihood", c.likelihood)
                              .add("sparse", c.sparse)
                              .add("dense", c.dense)
                              .add("sparse_probability", c.sparse_probability)
                              .add("dense_probability", c.dense_probability)
                              .add("marginal", c.marginal);
  auto sde = io::JsonObject().add("kind", record.sde.kind);
  for (const auto& [name, number] : record.sde.numbers) sde.add(name, number);
  auto configuration = io::JsonObject()
                           .add("nodes", record.nodes)
                           .add("parameters", record.parameters)
                           .add("transformer", transformer)
                           .add("value_octaves", record.value_octaves)
                           .add("cached_context", record.cached_context)
                           .add("conditions", conditions)
                           .add("sde", sde);
  if (record.encoders) {
    std::vector<io::JsonObject> surveys;
    for (const auto& [name, observables] : record.encoders->surveys)
      surveys.push_back(io::JsonObject().add("name", name).add("observables", observables));
    configuration.add("surveys", surveys)
        .add("embedding_width", record.encoders->embedding_width)
        .add("encoder_hidden", record.encoders->encoder_hidden)
        .add("adapter_hidden", record.encoders->adapter_hidden);
  }
  record.tensors.metadata = {{"format", record.format}, {"configuration", configuration.text()}};
  record.tensors.write(path);
}
/// Throws FileError for a file that is no model of this format, ValueError for condition masks that cannot be
/// drawn. (A template, so that only programs that read models wait for a JSON library to compile.)
template <class Lazy = void>
[[nodiscard]] ModelRecord read_record(const std::filesystem::path& path, const std::string& format);

inline SdeRecord to_record(const diffusion::VE& sde) {
  return {"VE", {{"sigma_min", sde.sigma_min()}, {"sigma_max", sde.sigma_max()}}};
}
template <std::derived_from<diffusion::LinearBeta> S> SdeRecord to_record(const S& sde) {
  return {std::same_as<S, diffusion::VP> ? "VP" : "SubVP",
          {{"beta_min", sde.beta_min()}, {"beta_max", sde.beta_max()}, {"t_min", sde.t_min()}}};
}
/// Throws ValueError when the record is of another diffusion.
template <diffusion::Sde S> S sde_from(const SdeRecord& record) {
  if (const std::string kind = to_record(S{}).kind; record.kind != kind)
    throw ValueError(sbi::text("its diffusion is '", record.kind, "'; want ", kind));
  const auto number = [&](const char* name) {
    const auto found = record.numbers.find(name);
    if (found == record.numbers.end())
      throw ValueError(sbi::text("its diffusion ", record.kind, " has no ", name));
    return found->second;
  };
  if constexpr (std::same_as<S, diffusion::VE>)
    return S(number("sigma_min"), number("sigma_max"));
  else
    return S(number("beta_min"), number("beta_max"), number("t_min"));
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

} // namespace sbi::detail

#ifdef SBI_COMPILED
extern template sbi::detail::ModelRecord sbi::detail::read_record(const std::filesystem::path&,
                                                                  const std::string&);
#else
#include <sbi/inference/model_read.hpp>
#endif
