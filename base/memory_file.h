// Files whose data is memory and nothing else: of a tmpfs or ramfs. Any thread.
#pragma once

namespace bulkhead {

// Not a disk, though the folder that its device node is in may be a tmpfs. False also if nothing can be told.
[[nodiscard]] bool lies_in_memory(int fd);

}  // namespace bulkhead
