#pragma once

namespace bulkhead::supervisor {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace bulkhead::supervisor
