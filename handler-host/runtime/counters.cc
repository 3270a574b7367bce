#include "handler-host/runtime/counters.h"

#include <chrono>
#include <utility>

namespace bulkhead::host {
namespace {

constexpr std::chrono::milliseconds kPeriod{1000};

}  // namespace

Counters::Counter* Counters::find(std::string_view name) {
  for (Counter& counter : counters_)
    if (counter.name == name) return &counter;
  if (counters_.size() == kMostNames || name.size() > kLongestName) return nullptr;
  return &counters_.emplace_back(Counter{std::string(name), 0});
}

void Counters::count(std::string_view name, std::uint64_t amount) {
  Counter* counter = find(name);
  if (counter == nullptr) return;
  counter->value += amount;
  changed_ = true;
  run_timer();
}

// Runs only while there is something to tell, so an idle host never wakes up for it.
void Counters::run_timer() {
  if (std::exchange(timer_runs_, true)) return;
  loop_.after(kPeriod, [this] {
    timer_runs_ = false;
    tell();
    // Lost when the socket was full; the next message has the same counters.
    if (changed_) run_timer();
  });
}

void Counters::tell() {
  if (!changed_) return;
  control::Counters& told = *message_.mutable_counters();
  for (auto i = static_cast<std::size_t>(told.counter_size()); i < counters_.size(); ++i)
    told.add_counter()->set_name(counters_[i].name);
  for (std::size_t i = 0; i < counters_.size(); ++i)
    told.mutable_counter(static_cast<int>(i))->set_value(counters_[i].value);
  changed_ = !control_.try_send(message_);
}

void Counters::tell_again() {
  if (counters_.empty()) return;
  changed_ = true;
  tell();
  if (changed_) run_timer();
}

}  // namespace bulkhead::host
