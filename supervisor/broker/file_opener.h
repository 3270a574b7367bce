// Opens files for one device's hosts without ever waiting on the control thread, and without letting storage
// that does not answer use up the threads of all devices: what hangs stays hanging, so there may only be a
// few of them per device.
//
// Threads: the control thread. The open itself runs on the pool given; it owns all it needs, so the opener
// may go first.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/unique_fd.h"
#include "supervisor/broker/file_broker.h"
#include "supervisor/configfs/blocking_pool.h"

namespace bulkhead::supervisor {

struct FileForHost {
  UniqueFd file;
  UniqueFd witness;  // of a writable one: see write_back_witness.h
};

class FileOpener {
 public:
  // `most`: calls that may run or hang at a time.
  FileOpener(BlockingPool& pool, unsigned most) : pool_(pool), most_(most) {}

  // Errors: those of open_for_host(); TimedOut; Busy while as many earlier ones as allowed have not come
  // back.
  boost::asio::awaitable<Result<FileForHost>> open(std::string config, FileAsked asked,
                                                   std::chrono::milliseconds limit);

 private:
  BlockingPool& pool_;
  const unsigned most_;
  const std::shared_ptr<std::atomic<unsigned>> running_ =
      std::make_shared<std::atomic<unsigned>>(0);  // with the jobs
};

}  // namespace bulkhead::supervisor
