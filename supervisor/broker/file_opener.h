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
#include <utility>

#include "base/error.h"
#include "base/unique_fd.h"
#include "supervisor/broker/file_broker.h"
#include "supervisor/broker/grant_file.h"
#include "supervisor/broker/image_claims.h"
#include "supervisor/configfs/blocking_pool.h"

namespace bulkhead::supervisor {

struct FileForHost {
  UniqueFd file;
  UniqueFd witness;  // of a writable one: see write_back_witness.h
};

class FileOpener {
 public:
  // `most`: calls that may run or hang at a time. `device`: the name under which it claims images.
  FileOpener(BlockingPool& pool, unsigned most, ImageClaims& claims, std::string device)
      : pool_(pool), most_(most), claims_(&claims), owner_(claims.new_lun(std::move(device))) {}
  // For what only looks: claims nothing, and is not told of others' claims.
  FileOpener(BlockingPool& pool, unsigned most) : pool_(pool), most_(most) {}

  // Errors: those of open_for_host(); Busy where another LUN has the image, unless the config string asks to
  // share; TimedOut; Busy while as many earlier ones as allowed have not come back.
  boost::asio::awaitable<Result<FileForHost>> open(std::string config, FileAsked asked, FilePolicy policy,
                                                   std::chrono::milliseconds limit);

  // The file of `witness`, for an I/O grant. Errors: those of open_for_grant(); TimedOut; Busy as above.
  boost::asio::awaitable<Result<FileForGrant>> open_grant(std::shared_ptr<const UniqueFd> witness,
                                                          bool direct, std::chrono::milliseconds limit);

  // What a host that was adopted has open for writing; `image` leads to it. Never blocks.
  void claim(const std::string& config, const UniqueFd& image);
  // Another configuration begins. What the former one claimed is free as soon as the result is gone.
  [[nodiscard]] ImageClaims::Owner begin_anew();
  // It has failed, and the former one goes on.
  void go_back(ImageClaims::Owner former) { owner_ = std::move(former); }
  // The device is done with its images. They are free as soon as the result is gone.
  [[nodiscard]] ImageClaims::Owner let_go() { return std::exchange(owner_, nullptr); }

 private:
  [[nodiscard]] Result<> may_run() const;

  BlockingPool& pool_;
  const unsigned most_;
  ImageClaims* const claims_ = nullptr;
  ImageClaims::Owner owner_;  // shared with nobody; hanging jobs only look
  const std::shared_ptr<std::atomic<unsigned>> running_ =
      std::make_shared<std::atomic<unsigned>>(0);  // with the jobs
};

}  // namespace bulkhead::supervisor
