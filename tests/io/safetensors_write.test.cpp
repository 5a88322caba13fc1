// SPDX-License-Identifier: MIT
#include <sbi/io/safetensors_write.hpp>

#include <doctest/doctest.h>

#include <string>

using sbi::io::SafetensorsHeader;

TEST_CASE("io/safetensors_write: the header lists notes and tensors, padded to eight bytes") {
  SafetensorsHeader header(sbi::io::JsonObject().add("format", "a \"b\"").add("z", ""));
  header.add("w", "F64", {2, 3}, 48);
  header.add("n", "I64", {}, 8);
  const std::string bytes = header.bytes();
  CHECK(bytes.size() % 8 == 0);
  CHECK(static_cast<unsigned char>(bytes[0]) == bytes.size() - 8);
  const std::string text = bytes.substr(8, bytes.find_last_not_of(' ') - 7);
  CHECK(
      text ==
      R"({"__metadata__":{"format":"a \"b\"","z":""},"w":{"dtype":"F64","shape":[2,3],"data_offsets":[0,48]},)"
      R"("n":{"dtype":"I64","shape":[],"data_offsets":[48,56]}})");
  CHECK(SafetensorsHeader().bytes().substr(8) == "{}      ");
}

TEST_CASE("io/safetensors_write: values follow the header in the order they are added") {
  const double a[] = {1, 2};
  const float b[] = {3};
  sbi::io::SafetensorsWriter file;
  file.add("a", sbi::View<const double>(a, {2}));
  file.add("b", sbi::View<const float>(b, {1, 1}));
  SafetensorsHeader header;
  header.add("a", "F64", {2}, 16);
  header.add("b", "F32", {1, 1}, 4);
  std::string want = header.bytes();
  want.append(reinterpret_cast<const char*>(a), sizeof a);
  want.append(reinterpret_cast<const char*>(b), sizeof b);
  CHECK(file.bytes() == want);
}
