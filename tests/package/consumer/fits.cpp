// SPDX-License-Identifier: MIT
#include <sbi/io/fits.hpp>
#include <sbi/io/fits_write.hpp>

int main() {
  const std::vector<sbi::io::FitsOutputColumn> columns{{"teff", std::vector<double>{5772, 3800}, "K"}};
  sbi::io::write_fits_table("stars.fits", columns, "STARS");
  return sbi::io::FitsTable("stars.fits", "STARS").numbers("teff")[1] == 3800 ? 0 : 1;
}
