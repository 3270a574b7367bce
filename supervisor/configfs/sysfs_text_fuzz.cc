// Any text where the kernel shows a device: its name in sysfs, whose end somebody wrote into configfs, and
// the numbers and strings of its backstore. What is taken is what the headers promise.
//
// Input: the name up to the first newline; then the files of kFiles, one a line.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "supervisor/configfs/backstore.h"

namespace {

using namespace bulkhead::supervisor;

constexpr std::array kFiles = {"attrib/dev_size",      "info",
                               "attrib/hw_block_size", "attrib/hw_max_sectors",
                               "attrib/cmd_time_out",  "attrib/emulate_write_cache",
                               "wwn/vpd_unit_serial",  "wwn/vendor_id",
                               "attrib/dev_config",    "statistics/scsi_dev/indx",
                               "action/block_dev"};

// One for the whole run.
class Folder {
 public:
  Folder() {
    BULKHEAD_CHECK(::mkdtemp(path_) != nullptr);
    for (const char* file : kFiles) std::filesystem::create_directories(at(file).parent_path());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] SysRoot root() const { return {path_}; }
  [[nodiscard]] std::filesystem::path at(const char* file) const {
    return std::filesystem::path(path_) / "sys/kernel/config/target/core/user_1/d" / file;
  }

 private:
  char path_[40] = "/dev/shm/sysfs_text_fuzz.XXXXXX";  // in memory, as each input writes all the files
};

std::string_view line_of(std::string_view& rest) {
  const std::string_view line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  return line;
}

void check_name(std::string_view text) {
  const auto name = parse_uio_name(text);
  if (!name) return;
  BULKHEAD_CHECK(is_tcmu_name(text));
  BULKHEAD_CHECK(name->hba.starts_with("user_"));
  BULKHEAD_CHECK(!name->device.empty() && name->device.size() <= kMaxDeviceName);
  BULKHEAD_CHECK(name->device.find('/') == std::string::npos);
  BULKHEAD_CHECK(name->dev_config.size() <= kMaxDevConfig);
}

template <class T>
void check_told(const bulkhead::Result<T>& result) {
  BULKHEAD_CHECK(result || !result.error().what.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  check_name(line_of(rest));
  for (const char* file : kFiles) {
    if (rest.empty())
      std::filesystem::remove(folder.at(file));
    else
      std::ofstream(folder.at(file), std::ios::trunc) << line_of(rest) << '\n';
  }
  const Backstore backstore(folder.root(), {.hba = "user_1", .device = "d", .dev_config = {}});
  check_told(backstore.facts());
  check_told(backstore.identity());
  check_told(backstore.device_id());
  check_told(backstore.configured());
  return 0;
}
