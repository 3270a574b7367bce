#include "handler-host/scsi/logical_unit.h"

#include <utility>

#include "handler-host/scsi/device_type.h"
#include "handler-host/scsi/unit.h"

namespace bulkhead::scsi {

class LogicalUnit::Impl {
 public:
  Impl(handler::Device& device, handler::Services& services, IdentitySource& identity, Parameters parameters)
      : unit(device, services, identity, std::move(parameters), disk()) {}
  Unit unit;
};

LogicalUnit::LogicalUnit(handler::Device& device, handler::Services& services, IdentitySource& identity,
                         Parameters parameters)
    : impl_(std::make_unique<Impl>(device, services, identity, std::move(parameters))) {}

LogicalUnit::~LogicalUnit() = default;

void LogicalUnit::execute(Command& command) {
  impl_->unit.execute(command);
}
bool LogicalUnit::abort(Command& command) {
  return impl_->unit.abort(command);
}
void LogicalUnit::reset() {
  impl_->unit.logical_unit_reset();
}
void LogicalUnit::resized(ByteCount size) {
  impl_->unit.resized(size);
}
void LogicalUnit::set_write_cache(bool on, std::move_only_function<void(Result<>)> done) {
  if (!on) return impl_->unit.cache_switch().off(std::move(done));
  const bool was_on = impl_->unit.write_cache();
  impl_->unit.set_write_cache(true);
  if (impl_->unit.write_cache() != was_on) impl_->unit.mode_parameters_changed();
  done({});
}
bool LogicalUnit::write_cache() const {
  return impl_->unit.write_cache();
}
bool LogicalUnit::read_only() const {
  return impl_->unit.geometry().read_only;
}
Granted LogicalUnit::granted() const {
  return impl_->unit.granted();
}
LogicalUnit::State LogicalUnit::state() const {
  return impl_->unit.state();
}
void LogicalUnit::restore(std::span<const std::uint8_t> state) {
  impl_->unit.restore(state);
}
bool LogicalUnit::answers_are_out() {
  const bool attentions = impl_->unit.attentions().answers_are_out();
  const bool losses = impl_->unit.lost_writes().answers_are_out();
  return attentions || losses;
}
void LogicalUnit::writes_lost() {
  impl_->unit.lost_writes().owe();
}
void LogicalUnit::wind_down() {
  impl_->unit.medium_job().stop();
}
std::size_t LogicalUnit::under_way() const {
  return impl_->unit.under_way();
}

}  // namespace bulkhead::scsi
