// SPDX-License-Identifier: MIT
// Files of models: written, and read back.
#pragma once
#include <sbi/inference/model_write.hpp>
#include <sbi/io/safetensors.hpp>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace sbi {

namespace detail {

struct ModelFile {
  ModelRecord record;
  io::Safetensors tensors; ///< standardisation [nodes, 4] and the parameters
};
/// Throws FileError for a file that is no model of this format, ValueError for condition masks that cannot be
/// drawn. (A template, so that the JSON library is compiled where a model is read.)
template <class Lazy = void>
[[nodiscard]] ModelFile read_model_file(const std::filesystem::path& path, const std::string& format);

inline std::vector<NodeTransform> transforms_from(const Tensor<double>& table) {
  std::vector<NodeTransform> out;
  for (index_t i = 0; i < table.rows(); ++i)
    out.emplace_back(Bounds{table(i, 0), table(i, 1)}, table(i, 2), table(i, 3));
  return out;
}

/// Sets all parameters from a file that holds them and nothing else beside the standardisation. Throws
/// FileError that lists every difference at once.
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
  for (const auto& tensor : file.tensors()) {
    const std::string& name = tensor.first;
    const auto& own = parameters.entries();
    if (name != "standardisation" &&
        std::none_of(own.begin(), own.end(), [&](const auto& e) { return e.name == name; }))
      differences += sbi::text("\n  ", name, " is no parameter of this model");
  }
  if (!differences.empty())
    throw FileError(sbi::text(path.string(), ": the model does not fit:", differences));
}

/// The model of a file: `build(record, nodes)` with the parameters and the standardisation that the record
/// holds. Values that make no model become a FileError that names the file.
template <class Build> auto read_model(const std::filesystem::path& path, const char* format, Build&& build) {
  try {
    const auto [record, tensors] = read_model_file(path, format);
    auto transforms = transforms_from(tensors.get<double>("standardisation"));
    Nodes nodes{record.nodes, {}, record.parameters};
    for (const auto& t : transforms) nodes.bounds.push_back(t.bounds());
    auto model = build(record, std::move(nodes));
    get_parameters(tensors, path, model.parameters());
    model.transforms() = std::move(transforms);
    model.standardised() = record.standardised;
    return model;
  } catch (const FileError&) {
    throw;
  } catch (const Error& error) {
    throw FileError(sbi::text(path.string(), ": ", error.what()));
  }
}

} // namespace detail

/// Reads a Simformer. Throws FileError for a file that is no such model, listing all differences.
template <Backend B, diffusion::Sde S = diffusion::VE>
[[nodiscard]] Simformer<B, S> load_simformer(B backend, const std::filesystem::path& path) {
  return detail::read_model(
      path, detail::simformer_format, [&](const detail::ModelRecord& record, Nodes nodes) {
        SimformerConfig config;
        config.network.transformer = record.transformer;
        config.network.value_octaves = record.value_octaves;
        config.network.cached_context = record.cached_context;
        config.conditions = record.conditions;
        return Simformer<B, S>(std::move(backend), std::move(nodes), config, detail::sde_from<S>(record.sde));
      });
}

/// Reads a domain-adaptive model. Throws FileError for a file that is no such model, listing all differences.
template <Backend B, diffusion::Sde S = diffusion::VE>
[[nodiscard]] DomainAdaptive<B, S> load_domain_adaptive(B backend, const std::filesystem::path& path) {
  return detail::read_model(
      path, detail::domain_adaptive_format, [&](const detail::ModelRecord& record, Nodes nodes) {
        if (!record.encoders) throw ValueError("its configuration has no surveys");
        DomainAdaptiveConfig config;
        config.transformer = record.transformer;
        config.value_octaves = record.value_octaves;
        config.embedding_width = record.encoders->embedding_width;
        config.encoder_hidden = record.encoders->encoder_hidden;
        config.adapter_hidden = record.encoders->adapter_hidden;
        config.conditions = record.conditions;
        return DomainAdaptive<B, S>(std::move(backend), std::move(nodes), record.encoders->surveys, config,
                                    detail::sde_from<S>(record.sde));
      });
}

#ifdef SBI_COMPILED
extern template Simformer<Cpu<float>, diffusion::VE> load_simformer(Cpu<float>, const std::filesystem::path&);
#endif

} // namespace sbi

#ifdef SBI_COMPILED
extern template sbi::detail::ModelFile sbi::detail::read_model_file(const std::filesystem::path&,
                                                                    const std::string&);
#else
#include <sbi/inference/model_read.hpp>
#endif
