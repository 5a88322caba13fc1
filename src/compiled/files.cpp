// SPDX-License-Identifier: MIT
#include <sbi/inference/model_read.hpp>

template sbi::io::Safetensors sbi::io::Safetensors::parse(std::string_view, std::string);
template sbi::io::Safetensors sbi::io::Safetensors::read(const std::filesystem::path&);
template sbi::detail::ModelFile sbi::detail::read_model_file(const std::filesystem::path&,
                                                             const std::string&);
