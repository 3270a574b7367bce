#include "handler-host/scsi/range_lock.h"

#include <utility>

#include "base/error.h"

namespace bulkhead::scsi {

RangeLock::Section::~Section() {
  BULKHEAD_CHECK(idle());
}

RangeLock::~RangeLock() {
  BULKHEAD_CHECK(sections_ == 0);
}

bool RangeLock::acquire(Section& section, BlockRange range, Waiter& waiter, Mode mode) {
  BULKHEAD_CHECK(section.idle());
  section.range_ = range;
  section.mode_ = mode;
  section.blockers_ = 0;
  if (mode == Mode::Exclusive) ++exclusive_sections_;
  if (exclusive_sections_ > 0) {
    for (const Section* other = oldest_; other != nullptr; other = other->later_)
      if (other->excludes(section)) ++section.blockers_;
  }

  section.waiter_ = &waiter;
  section.earlier_ = newest_;
  section.later_ = nullptr;
  (newest_ != nullptr ? newest_->later_ : oldest_) = &section;
  newest_ = &section;
  ++sections_;
  section.state_ = section.blockers_ == 0 ? Section::State::Held : Section::State::Waiting;
  return section.held();
}

void RangeLock::unlink(Section& section) {
  (section.earlier_ != nullptr ? section.earlier_->later_ : oldest_) = section.later_;
  (section.later_ != nullptr ? section.later_->earlier_ : newest_) = section.earlier_;
  --sections_;
  if (section.mode_ == Mode::Exclusive) --exclusive_sections_;
}

void RangeLock::release(Section& section) {
  BULKHEAD_CHECK(section.held());
  leave(section);
}

void RangeLock::cancel(Section& section) {
  BULKHEAD_CHECK(section.waiting());
  leave(section);
}

void RangeLock::leave(Section& section) {
  Section* const later = exclusive_sections_ > 0 ? section.later_ : nullptr;
  for (Section* other = later; other != nullptr; other = other->later_) {
    if (!section.excludes(*other)) continue;
    if (--other->blockers_ > 0) continue;
    other->state_ = Section::State::Held;
    other->next_ready_ = nullptr;
    (last_ready_ != nullptr ? last_ready_->next_ready_ : first_ready_) = other;
    last_ready_ = other;
  }
  unlink(section);
  section.state_ = Section::State::Idle;
  if (!granting_) grant_ready();
}

void RangeLock::grant_ready() {
  granting_ = true;
  while (first_ready_ != nullptr) {
    Section* section = std::exchange(first_ready_, first_ready_->next_ready_);
    if (first_ready_ == nullptr) last_ready_ = nullptr;
    section->waiter_->granted();
  }
  granting_ = false;
}

}  // namespace bulkhead::scsi
