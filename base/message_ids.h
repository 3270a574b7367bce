// What a machine may look for in the journal: `journalctl MESSAGE_ID=...`. Few, and never changed once
// released. A line gets one when somebody could want an alert on it; ordinary lines have none.
#pragma once

namespace bulkhead {

// 128 bits in hexadecimal, as journald wants them; nullptr: none.
struct MessageId {
  const char* hex = nullptr;
};

// A device serves: first host, or a fresh one after a death. DEVICE, SUBTYPE, HOST_PID.
inline constexpr MessageId kMsgDeviceServing{"f7c4f2c8f2214067ad83452552f0824e"};
// A handler-host ended without being asked to; the text says how. DEVICE, HOST_PID.
inline constexpr MessageId kMsgHostDied{"1fab6817b9544182ac7e2419a52f5e68"};
// No host can be started or none can open the backstore; retried for ever. DEVICE, ERRNO.
inline constexpr MessageId kMsgDeviceFailed{"e4da790240d74803922a1f5033e38530"};
// A host has had a command for long and answers nothing, or not that one; it may be ended soon. DEVICE,
// HOST_PID.
inline constexpr MessageId kMsgHostSlow{"a21272a75d6148de8e0462f0c731fd63"};
// A host has stopped working and is killed; what it had goes to the next one. DEVICE, HOST_PID.
inline constexpr MessageId kMsgHostHung{"2d6ce1138eee483d8ab6eef57618c7e6"};
// A host was killed and does not end, as its storage does not answer: commands wait until it has ended.
// DEVICE, HOST_PID. The same id, at level info, when it has.
inline constexpr MessageId kMsgHostUnkillable{"8ec17f8570c041ba832cb15f32d02f0d"};
// Commands were older than the kernel's cmd_time_out and were answered without being run. DEVICE.
inline constexpr MessageId kMsgCommandsExpired{"04980d9786c14c8d857b81da213cd8b9"};
// The supervisor has taken over hosts that ran on while it was away.
inline constexpr MessageId kMsgHostsAdopted{"f5cf15f62eca4eafadd8742c619c1d50"};
// A host broke the channel's or the control socket's rules and was ended. DEVICE, HOST_PID.
inline constexpr MessageId kMsgHostLied{"e5ec1e835d39455aa7006c80ade83cfa"};
// A command was in flight at the deaths of several hosts and was answered with an error. DEVICE.
inline constexpr MessageId kMsgCommandPoisoned{"030d2efc4692467b8111265fbc56e88d"};
// A write back failed while a host was being ended: the next flush fails. DEVICE, HOST_PID.
inline constexpr MessageId kMsgWritesLost{"d07dbb215efa4b329aabe4d333705403"};
// An initiator's error handler, or a reset, has aborted commands: something took too long. DEVICE, HOST_PID.
inline constexpr MessageId kMsgTasksAborted{"341cfd8bbd9f4193801ad92a2193b310"};
// The kernel's ring is broken: commands can only time out until it is reset. DEVICE.
inline constexpr MessageId kMsgRingBroken{"cffee75b8f294f18ae44cf63a89c745a"};
// The kernel refused our answer to a device event, or got none in time. DEVICE_ID is in the text.
inline constexpr MessageId kMsgNetlinkReply{"5f0a58229e0d48f68be7e660c754d6df"};
// Device events were lost; sysfs was read again.
inline constexpr MessageId kMsgNetlinkResync{"9f51eb4faf37489494a779bdddb3b645"};
// Modules, configfs or permissions are missing; the text says the remedy.
inline constexpr MessageId kMsgKernelInterface{"f56c55febe0b428eab9dd273b1c792ea"};
// A line of the configuration file, or a handler's manifest, was refused.
inline constexpr MessageId kMsgConfiguration{"432e09631186475ca420aa2041422744"};
// Log lines were lost, or a log file can't be written.
inline constexpr MessageId kMsgLogTrouble{"4710e1d12df44696881eba1c02d4d61b"};

}  // namespace bulkhead
