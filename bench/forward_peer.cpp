// SPDX-License-Identifier: MIT
// Stars a second of the forward model, and its stars for bench/peers/forward_speed.py. Castelli-Kurucz
// atmospheres on all their wavelengths, PARSEC isochrones, CCM89 dust, ten bands, noise and gaps;
// then also the 110 coefficients of Gaia's XP spectra. Prints JSON.
#include "machine.hpp"

#include <sbi/core/adapt.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/imf.hpp>
#include <sbi/forward/kurucz_file.hpp>
#include <sbi/forward/parsec_file.hpp>
#include <sbi/forward/survey.hpp>
#include <sbi/forward/xp_file.hpp>
#include <sbi/forward/xp_response.hpp>
#include <sbi/forward/xp_survey.hpp>
#include <sbi/io/npy.hpp>
#include <sbi/io/results.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

namespace {
using namespace sbi;
using namespace sbi::forward;

/// Single field stars that the evolution and the atmospheres know: age uniform in the logarithm from 100 Myr
/// to 10 Gyr.
template <class S> std::vector<Star> stars_of(const S& survey, index_t n, std::uint64_t seed) {
  const Kroupa imf(.4, 8);
  std::vector<Star> out;
  Rng rng(seed);
  while (static_cast<index_t>(out.size()) < n) {
    Star s;
    s.log_mass = std::log10(imf.sample(rng)), s.log_age = rng.uniform(8, 10);
    s.mh = rng.uniform(-1, .3), s.log_distance = rng.uniform(2, 3.5), s.a_v = rng.uniform(0, 3);
    StarState state;
    const auto [source, flag] = survey.light(s, state);
    if (flag == StarFlag::whole && survey.synthesis().grid().covers(state.log_teff, state.log_g, state.mh))
      out.push_back(s);
  }
  return out;
}

template <class F> double rate(index_t n, int repeats, F&& f) {
  std::vector<double> seconds;
  for (int k = 0; k <= repeats; ++k) {
    const auto begin = std::chrono::steady_clock::now();
    f();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    if (k > 0 || repeats == 0) seconds.push_back(time.count()); // the first one fills caches and arenas
  }
  std::nth_element(seconds.begin(), seconds.begin() + static_cast<index_t>(seconds.size() / 2),
                   seconds.end());
  return static_cast<double>(n) / seconds[seconds.size() / 2];
}

/// The first stars as the peers want them: surface spectra, dust, and our magnitudes of those spectra.
template <class S>
void write_stars(const S& survey, const Cpu<float>& be, std::span<const Star> stars,
                 const std::string& folder) {
  const SpectralGrid& grid = survey.synthesis().grid();
  const auto n = static_cast<index_t>(stars.size()),
             wavelengths = static_cast<index_t>(grid.wavelengths().size());
  Tensor<double> flux(Shape{n, wavelengths}), a_v(Shape{n, 1});
  std::vector<LightSource> sources;
  for (index_t i = 0; i < n; ++i) {
    StarState state;
    LightSource source = survey.light(stars[static_cast<std::size_t>(i)], state).first;
    source.log_distance = source.stars[0].log_radius + std::log10(solar_radius / parsec); // at the surface
    sources.push_back(source);
    grid.flux(state.log_teff, state.log_g, state.mh, {flux.row(i), static_cast<std::size_t>(wavelengths)});
    a_v(i, 0) = source.a_v;
  }
  Tensor<float> fluxes(Shape{n, survey.synthesis().outputs()});
  std::vector<Coverage> coverage(stars.size());
  survey.synthesis().fluxes(be, sources, fluxes.view(), coverage);
  Tensor<double> magnitudes(Shape{n, 10});
  for (index_t i = 0; i < n; ++i)
    for (index_t b = 0; b < 10; ++b) magnitudes(i, b) = -2.5 * std::log10(static_cast<double>(fluxes(i, b)));
  const auto write = [&](const char* name, const Tensor<double>& x) {
    const std::vector<std::size_t> shape = x.cols() == 1
                                               ? std::vector<std::size_t>{static_cast<std::size_t>(x.rows())}
                                               : std::vector<std::size_t>{static_cast<std::size_t>(x.rows()),
                                                                          static_cast<std::size_t>(x.cols())};
    io::write_npy(folder + "/" + name + ".npy",
                  xt::adapt(x.data(), static_cast<std::size_t>(x.size()), xt::no_ownership(), shape));
  };
  Tensor<double> axis(Shape{wavelengths, 1});
  std::copy(grid.wavelengths().begin(), grid.wavelengths().end(), axis.begin());
  write("wavelengths", axis), write("flux", flux), write("a_v", a_v), write("magnitudes", magnitudes);
}

/// f(chunk of stars) for all of them: what a pipeline does with more stars than it keeps in memory.
template <class F> void in_chunks(std::span<const Star> stars, F&& f) {
  constexpr std::size_t chunk = 16'384;
  for (std::size_t first = 0; first < stars.size(); first += chunk)
    f(stars.subspan(first, std::min(chunk, stars.size() - first)));
}

template <class S>
void measure(const S& survey, const Cpu<float>& be, std::span<const Star> stars, int repeats,
             io::Results& out) {
  const auto n = static_cast<index_t>(stars.size());
  out.set("evolution to noisy magnitudes", rate(n, repeats, [&] {
            in_chunks(stars, [&](auto part) { (void)survey.record(be, Rng(1), part); });
          }));
  out.set("evolution to true magnitudes",
          rate(n, repeats, [&] { in_chunks(stars, [&](auto part) { (void)survey.truth(be, part); }); }));
}
/// With the true spectra, with the observed ones.
template <class S>
void measure_xp(const S& survey, const XpObserver& xp, const Cpu<float>& be, std::span<const Star> stars,
                int repeats, io::Results& out) {
  Tensor<float> spectra(Shape{16'384, survey.spectrum_size()}), sigma = spectra;
  const auto n = static_cast<index_t>(stars.size());
  const auto part_of = [](Tensor<float>& room, auto part) {
    return room.view().row_block(0, static_cast<index_t>(part.size()));
  };
  out.set("evolution to true magnitudes and XP coefficients", rate(n, repeats, [&] {
            in_chunks(stars, [&](auto part) { (void)survey.truth(be, part, part_of(spectra, part)); });
          }));
  out.set("evolution to noisy magnitudes and XP coefficients", rate(n, repeats, [&] {
            in_chunks(stars, [&](auto part) {
              const SurveyRecord record = survey.record(be, Rng(1), part, part_of(spectra, part));
              xp.observe(be, Rng(1), record, part_of(spectra, part), part_of(sigma, part));
            });
          }));
}
} // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Stars a second of the forward model; bench/peers/forward_speed.py compares them with other tools.");
  std::string data = "../shared/data", folder;
  index_t stars = 200'000, written = 1000;
  int threads = 0, repeats = 5;
  app.add_option("--data", data, "folder of ck04, isochrones_parsec_fsps");
  app.add_option("--stars", stars)->check(CLI::PositiveNumber);
  app.add_option("--threads", threads, "0: as many as the machine has")->check(CLI::NonNegativeNumber);
  app.add_option("--repeats", repeats)->check(CLI::NonNegativeNumber);
  app.add_option("--write", folder, "write spectra, dust and magnitudes of the first stars there");
  app.add_option("--write-stars", written)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    const Cpu<float> be(threads);
    const SpectralGrid grid = read_kurucz_grid(data + "/ck04");
    const Isochrones isochrones = read_parsec_isochrones(data + "/isochrones_parsec_fsps");
    SurveyOptions options;
    const std::vector<std::string_view> names{"G", "BP", "RP", "J", "H", "Ks", "W1", "W2", "W3", "W4"};
    options.channels = channels_named(names);
    const Survey survey(grid, isochrones, CCM89{}, options);
    const std::vector<Star> all = stars_of(survey, stars, 1);
    io::Results out, rates, ab;
    out.set("threads", be.threads()).set("wavelengths", grid.wavelengths().size()).set("stars", stars);
    out.set("machine", text(native_vector_bytes == 64   ? "AVX-512"
                            : native_vector_bytes == 32 ? "AVX2"
                                                        : "SSE",
                            ", GCC ", __VERSION__));
    measure(survey, be, all, repeats, rates);
    const XpInstrument instrument = read_xp_instrument(data + "/gaiaxpy_instrument");
    SurveyOptions with_xp = options;
    std::vector<std::string_view> names_with_xp = names;
    names_with_xp.emplace_back("XP");
    with_xp.channels = channels_named(names_with_xp);
    const Survey xp_survey(grid, isochrones, CCM89{}, XpResponse(instrument), with_xp);
    measure_xp(xp_survey, XpObserver(xp_survey, instrument), be, all, repeats, rates);
    if (!folder.empty())
      write_stars(survey, be, std::span(all).first(static_cast<std::size_t>(std::min(written, stars))),
                  folder);
    const std::vector<Passband> bands =
        passbands({"GaiaDR3.G", "GaiaDR3.BP", "GaiaDR3.RP", "2MASS.J", "2MASS.H", "2MASS.Ks", "WISE.W1",
                   "WISE.W2", "WISE.W3", "WISE.W4"});
    for (std::size_t b = 0; b < bands.size(); ++b)
      ab.set(std::string(names[b]), -2.5 * std::log10(bands[b].zero_point / ab_zero_point(bands[b])));
    out.set("stars_per_second", rates).set("ab_minus_vega", ab);
    std::printf("%s\n", out.text().c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_forward_peer: %s\n", error.what());
    return 2;
  }
}
