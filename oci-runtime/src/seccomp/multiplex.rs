//! `socketcall` and `ipc` of 32-bit x86: one number, and the call in the first argument. Programs use them beside
//! the calls of their own that came with Linux 4.3 (sockets) and 5.1.

/// Through which call, and what its first argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Multiplexer {
    pub(super) name: &'static str,
    pub(super) selector: u32,
}

/// How a call is also made.
pub(super) fn multiplexed(name: &str) -> Option<Multiplexer> {
    let find = |calls: &[(&str, u32)]| calls.iter().find(|call| call.0 == name).map(|call| call.1);
    let socket = find(SOCKETCALL).map(|selector| Multiplexer { name: "socketcall", selector });
    socket.or_else(|| find(IPC).map(|selector| Multiplexer { name: "ipc", selector }))
}

/// linux/net.h
const SOCKETCALL: &[(&str, u32)] = &[
    ("socket", 1),
    ("bind", 2),
    ("connect", 3),
    ("listen", 4),
    ("accept", 5),
    ("getsockname", 6),
    ("getpeername", 7),
    ("socketpair", 8),
    ("send", 9),
    ("recv", 10),
    ("sendto", 11),
    ("recvfrom", 12),
    ("shutdown", 13),
    ("setsockopt", 14),
    ("getsockopt", 15),
    ("sendmsg", 16),
    ("recvmsg", 17),
    ("accept4", 18),
    ("recvmmsg", 19),
    ("sendmmsg", 20),
];

/// linux/ipc.h
const IPC: &[(&str, u32)] = &[
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];
