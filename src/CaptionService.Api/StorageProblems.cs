using System.Data.Common;
using System.Net.Sockets;
using CaptionService.Captioning.Jobs;
using Microsoft.Data.Sqlite;
using Npgsql;

namespace CaptionService.Api;

/// <summary>What callers are told when the database or the disk fails.</summary>
internal static class StorageProblems
{
    /// <summary>The kind of problem behind a failure of the database, or null when it is another failure.</summary>
    public static ProblemKind? Of(Exception exception) => Innermost(exception) switch
    {
        SqliteException { SqliteErrorCode: 5 or 6 } => ProblemTable.DatabaseBusy,                   // SQLITE_BUSY, SQLITE_LOCKED
        SqliteException { SqliteErrorCode: 13 } => ProblemTable.StorageFull,                        // SQLITE_FULL
        SqliteException { SqliteErrorCode: 11 or 26 } => ProblemTable.DatabaseDamaged,              // SQLITE_CORRUPT, SQLITE_NOTADB
        SqliteException { SqliteErrorCode: 8 or 10 or 14 } => ProblemTable.DatabaseUnavailable,     // SQLITE_READONLY, _IOERR, _CANTOPEN
        PostgresException { SqlState: "53100" } => ProblemTable.StorageFull,
        PostgresException { SqlState: "40001" or "40P01" or "55P03" } => ProblemTable.DatabaseBusy,
        PostgresException { IsTransient: false } => null,
        NpgsqlException or SocketException => ProblemTable.DatabaseUnavailable,
        IOException io when TrainerExit.IsDiskFull(io) => ProblemTable.StorageFull,
        _ => null,
    };

    /// <summary>The failure of the database, disk or network that caused another.</summary>
    public static Exception Innermost(Exception exception)
    {
        while (exception is not (DbException or IOException or SocketException) && exception.InnerException is { } inner)
            exception = inner;
        return exception;
    }
}
