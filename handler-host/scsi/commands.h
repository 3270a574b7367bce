// The commands: each takes a task that dispatch has let through, and is entered in a device type's opcode
// table.
#pragma once

#include "handler-host/scsi/opcode_table.h"

namespace bulkhead::scsi {

// Medium. They find LBA and length where CDBs of their length have them, so one function serves all the
// lengths.
Flow read_blocks(Task& task);
Flow write_blocks(Task& task);
Flow verify(Task& task);
Flow write_and_verify(Task& task);
Flow compare_and_write(Task& task);
Flow orwrite(Task& task);
Flow write_atomic(Task& task);
Flow write_same(Task& task);
Flow unmap(Task& task);
Flow pre_fetch(Task& task);
Flow synchronize_cache(Task& task);
Flow get_lba_status(Task& task);

// All of the medium.
Flow format_unit(Task& task);
Flow sanitize_overwrite(Task& task);
Flow sanitize_block_erase(Task& task);
Flow sanitize_exit_failure_mode(Task& task);

// What the unit says of itself, and what it is told.
Flow inquiry(Task& task);
Flow read_capacity_10(Task& task);
Flow read_capacity_16(Task& task);
Flow test_unit_ready(Task& task);
Flow request_sense(Task& task);
Flow start_stop_unit(Task& task);
Flow prevent_allow_medium_removal(Task& task);
Flow report_supported_opcodes(Task& task);
Flow report_supported_task_management_functions(Task& task);
Flow report_timestamp(Task& task);
Flow send_diagnostic(Task& task);
Flow receive_diagnostic_results(Task& task);
Flow read_defect_data(Task& task);
Flow read_media_serial_number(Task& task);

// Log pages (log_sense.cc).
Flow log_select(Task& task);
Flow log_sense(Task& task);

// Third-party copy (extended_copy.cc, receive_copy.cc), by tokens (populate_token.cc, write_using_token.cc,
// rod_token_reports.cc).
Flow extended_copy(Task& task);
Flow receive_copy_status_lid1(Task& task);
Flow receive_copy_operating_parameters(Task& task);
Flow receive_copy_failure_details(Task& task);
Flow receive_copy_status_lid4(Task& task);
Flow populate_token(Task& task);
Flow write_using_token(Task& task);
Flow receive_rod_token_information(Task& task);
Flow report_all_rod_tokens(Task& task);

// Mode pages (mode_sense.cc, mode_select.cc).
Flow mode_sense_6(Task& task);
Flow mode_sense_10(Task& task);
Flow mode_select_6(Task& task);
Flow mode_select_10(Task& task);

}  // namespace bulkhead::scsi
