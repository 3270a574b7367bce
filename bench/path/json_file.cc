#include "bench/path/json_file.h"

#include <fmt/format.h>

#include <fstream>

namespace bulkhead::bench {

int write_json(const nlohmann::json& report, const std::string& path) {
  if (path.empty()) return 0;
  std::ofstream out(path);
  out << report.dump(2) << '\n';
  if (out.flush()) return 0;
  fmt::print(stderr, "can't write {}\n", path);
  return 1;
}

}  // namespace bulkhead::bench
