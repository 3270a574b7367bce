// A tree of files that looks like /sys to the code of this folder. For tests.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "supervisor/configfs/attribute_file.h"

namespace bulkhead::supervisor {

class FakeSysfs {
 public:
  FakeSysfs()
      : folder_(std::filesystem::path(testing::TempDir()) /
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  [[nodiscard]] SysRoot root() const { return {folder_.string()}; }
  void put(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = folder_.string() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::trunc) << text;
  }
  [[nodiscard]] std::string get(const std::string& path) const {
    std::stringstream text;
    text << std::ifstream(folder_.string() + path).rdbuf();
    return text.str();
  }
  void remove(const std::string& path) const { std::filesystem::remove_all(folder_.string() + path); }

  // As the kernel shows a TCMU device.
  void put_uio(unsigned minor, const std::string& name) const {
    const std::string folder = "/sys/class/uio/uio" + std::to_string(minor);
    put(folder + "/name", name + "\n");
    put(folder + "/version", "2\n");
    put(folder + "/maps/map0/size", "0x0000000040800000\n");
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace bulkhead::supervisor
