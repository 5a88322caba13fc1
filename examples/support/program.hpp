// SPDX-License-Identifier: MIT
// What the example programs share: flags, error reports and the output folder.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/io/files.hpp>
#include <sbi/io/plot.hpp>
#include <sbi/io/results.hpp>

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <filesystem>

namespace example {

struct Common {
  std::uint64_t seed = 1;
  int threads = 0;
  std::filesystem::path output;
};

/// Parses the flags that every program has and those that `add` declares, then runs `body`. An error of the
/// library or of the flags is one sentence on standard error and exit code 2.
template <class Add, class Body>
int program(int argc, char** argv, const char* what, const char* folder, Common& common, Add&& add,
            Body&& body) {
  CLI::App app{what};
  common.output = folder;
  app.add_option("--seed", common.seed, "seed of all random numbers")->capture_default_str();
  app.add_option("--threads", common.threads, "threads; 0: all cores")->capture_default_str();
  app.add_option("--output", common.output, "folder for results.json, pictures and arrays")
      ->capture_default_str();
  add(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    sbi::io::check_output_folder(common.output);
    body();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", std::filesystem::path(argv[0]).filename().c_str(), error.what());
    return 2;
  }
}

/// Text that grows by formatted pieces of at most 255 characters.
class Table {
public:
  template <class... Values> void add(const char* format, Values... values) {
    char buffer[256];
    std::snprintf(buffer, sizeof buffer, format, values...);
    text_ += buffer;
  }
  void add(const char* text) { text_ += text; }
  /// Prints it below an empty line and writes it to a file.
  void show(const std::filesystem::path& path) const {
    std::printf("\n%s", text_.c_str());
    sbi::io::write_file(path, text_);
  }

private:
  std::string text_;
};

class Stopwatch {
public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - begin_).count();
  }

private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin_ = Clock::now();
};

} // namespace example
