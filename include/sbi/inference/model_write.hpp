// SPDX-License-Identifier: MIT
// How models become files: needs no JSON library.
#pragma once
#include <sbi/compiled.hpp>
#include <sbi/inference/domain_adaptation.hpp>
#include <sbi/inference/model_record.hpp>
#include <sbi/inference/simformer.hpp>
#include <sbi/io/safetensors_write.hpp>

#include <filesystem>

namespace sbi {

namespace detail {

/// Bounds, mean and standard deviation of each node, [nodes, 4].
inline Tensor<double> transforms_tensor(const std::vector<NodeTransform>& transforms) {
  Tensor<double> out({static_cast<index_t>(transforms.size()), 4});
  for (index_t i = 0; i < out.rows(); ++i) {
    const NodeTransform& t = transforms[static_cast<std::size_t>(i)];
    out(i, 0) = t.bounds().low, out(i, 1) = t.bounds().high, out(i, 2) = t.mean(), out(i, 3) = t.stddev();
  }
  return out;
}

/// What the files of all models hold.
template <class Model>
ModelRecord model_record(const Model& model, const nn::TransformerConfig& transformer,
                         index_t value_octaves) {
  static_assert(
      requires { to_record(model.sde()); },
      "sbi: model files know the diffusions VE, VP and SubVP; want a model with one of them");
  ModelRecord out;
  out.transformer = transformer;
  out.value_octaves = value_octaves;
  out.conditions = model.config().conditions;
  out.sde = to_record(model.sde());
  out.nodes = model.nodes().names;
  out.parameters = model.nodes().parameters;
  out.standardised = model.standardised();
  return out;
}
/// Throws FileError; nothing is left half-written.
template <class Model>
void write_model(const Model& model, const char* format, const io::JsonObject& configuration,
                 const std::filesystem::path& path) {
  io::SafetensorsWriter file(
      io::JsonObject().add("configuration", configuration.text()).add("format", format));
  file.add("standardisation", transforms_tensor(model.transforms()).view());
  for (const auto& e : model.parameters().entries()) file.add(e.name, model.parameters().view(e));
  file.write(path);
}

} // namespace detail

/// Writes a model: tensors under their dotted names, standardisation [nodes, 4] (bounds, mean, standard
/// deviation), everything else as JSON in the metadata. Throws FileError; nothing is left half-written.
template <Backend B, diffusion::Sde S>
void save(const Simformer<B, S>& model, const std::filesystem::path& path) {
  const auto& c = model.config().network;
  auto record = detail::model_record(model, c.transformer, c.value_octaves);
  record.cached_context = c.cached_context;
  detail::write_model(model, detail::simformer_format, detail::configuration(record), path);
}
template <Backend B, diffusion::Sde S>
void save(const DomainAdaptive<B, S>& model, const std::filesystem::path& path) {
  const auto& c = model.config();
  detail::EncodersRecord encoders{c.embedding_width, c.encoder_hidden, c.adapter_hidden, {}};
  for (const auto& m : model.encoders().modalities()) {
    auto& [name, observables] = encoders.surveys.emplace_back(m.name, std::vector<std::string>{});
    for (index_t j : m.observables)
      observables.push_back(model.nodes().names[static_cast<std::size_t>(model.nodes().parameters + j)]);
  }
  auto configuration = detail::configuration(detail::model_record(model, c.transformer, c.value_octaves));
  detail::add_encoders(configuration, encoders);
  detail::write_model(model, detail::domain_adaptive_format, configuration, path);
}

#ifdef SBI_COMPILED
extern template void save(const Simformer<Cpu<float>, diffusion::VE>&, const std::filesystem::path&);
#endif

} // namespace sbi
