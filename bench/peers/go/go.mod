module bench

// The version also chooses the runtime's defaults (timers since 1.23, wait groups since 1.25).
go 1.25
