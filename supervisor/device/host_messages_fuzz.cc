// A host that says anything: packets are cut out of the input by a length byte each.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "supervisor/device/host_messages.h"

namespace {

using namespace bulkhead;
using namespace bulkhead::supervisor;

struct Nobody final : HostMessages::Listener {
  int hellos = 0;
  void hello() override { BULKHEAD_CHECK(++hellos == 1); }
  void walls(Walls walls) override { BULKHEAD_CHECK(walls.size() <= 24 && hellos == 1); }
  void answered(std::uint64_t id, Result<> result) override {
    BULKHEAD_CHECK(id >= 1 && id <= 3 && hellos == 1);
    BULKHEAD_CHECK(result || errno_of(result.error()) > 0);
  }
  void file_wanted(const control::OpenFile&) override { BULKHEAD_CHECK(hellos == 1); }
  void identity_wanted(std::uint64_t) override { BULKHEAD_CHECK(hellos == 1); }
  void said(const control::Log&) override { BULKHEAD_CHECK(hellos == 1); }
  void facts(const HostFacts&) override { BULKHEAD_CHECK(hellos == 1); }
  void grant_offered(const GrantOffer& offer) override {
    BULKHEAD_CHECK(offer.number != 0 && offer.bytes != 0 && offer.first_byte + offer.bytes <= INT64_MAX);
  }
  void counter(std::string_view name, std::uint64_t) override {
    BULKHEAD_CHECK(!name.empty() && name.size() <= 31);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Nobody listener;
  HostMessages messages(listener);
  for (auto kind : {control::Message::kOpened, control::Message::kChecked, control::Message::kDone})
    (void)messages.ask(kind);
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (!rest.empty()) {
    const std::size_t length = std::min<std::size_t>(static_cast<unsigned char>(rest[0]), rest.size() - 1);
    const auto rule = messages.take(rest.substr(1, length), 0);
    if (!rule.empty()) break;
    rest.remove_prefix(1 + length);
  }
  return 0;
}
