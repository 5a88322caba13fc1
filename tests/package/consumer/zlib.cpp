// SPDX-License-Identifier: MIT
#include <sbi/io/text_file.hpp>

#include <zlib.h>

int main() {
  const gzFile file = gzopen("text.gz", "wb");
  gzputs(file, "1 2 3\n");
  gzclose(file);
  return sbi::io::read_text("text.gz") == "1 2 3\n" ? 0 : 1;
}
