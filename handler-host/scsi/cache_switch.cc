#include "handler-host/scsi/cache_switch.h"

#include <cerrno>
#include <utility>

#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {

void CacheSwitch::off(std::move_only_function<void(Result<>)> done) {
  if (!all_.idle()) return done(fail(Cause::Busy, EBUSY, "the write cache is being switched off already"));
  done_ = std::move(done);
  was_on_ = unit_.write_cache();
  // First: writes that come from now on are durable by themselves.
  unit_.set_write_cache(false);
  unit_.operation_begins();
  if (unit_.blocks().acquire(all_, {0, unit_.capacity().value}, *this)) granted();
}

void CacheSwitch::granted() noexcept {
  // A MODE SELECT that came to nothing may have switched it on again meanwhile.
  was_on_ = was_on_ || unit_.write_cache();
  unit_.set_write_cache(false);
  unit_.device().flush(*this);
}

void CacheSwitch::done(handler::IoStatus status) noexcept {
  unit_.lost_writes().flush_ended(status, false);
  Result<> result;
  if (status != handler::IoStatus::Ok && status != handler::IoStatus::NotSupported) {
    unit_.set_write_cache(was_on_);
    result = fail(Cause::Backend, EIO, "what the write cache holds can't be written back, so it stays on");
  }
  if (unit_.write_cache() != was_on_) unit_.mode_parameters_changed();
  unit_.blocks().release(all_);
  unit_.command_over();
  std::exchange(done_, nullptr)(std::move(result));
}

}  // namespace bulkhead::scsi
