using System.Diagnostics;
using CaptionService.Api.Storage;
using CaptionService.Api.Tests;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Npgsql;

[assembly: AssemblyFixture(typeof(Databases))]

namespace CaptionService.Api.Tests;

/// <summary>A fresh database of either kind for each test. PostgreSQL is a cluster of its own, started with the first test that wants it.</summary>
public sealed class Databases : IAsyncDisposable
{
    public static TheoryData<string> Kinds => ["sqlite", "postgres"];

    private readonly SemaphoreSlim _turn = new(1);
    private string? _folder, _why;
    private Process? _server;
    private int _port, _count;

    /// <summary>Why a kind cannot be had here; null where it can.</summary>
    public async Task<string?> Missing(string kind)
    {
        await _turn.WaitAsync(Service.Cancellation);
        try
        {
            if (kind == "postgres" && _server is null && _why is null)
            {
                await Start();
            }
            return kind == "postgres" ? _why : null;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>A fresh database for a test of which one kind is enough: PostgreSQL where it can be had, since all others run on SQLite.</summary>
    public async Task<Dictionary<string, string>> Fresh() => await Fresh(await Missing("postgres") is null ? "postgres" : "sqlite");

    /// <summary>Settings that give a service a fresh database; skips the test where there is no PostgreSQL.</summary>
    public async Task<Dictionary<string, string>> Fresh(string kind)
    {
        if (kind == "sqlite")
        {
            return [];
        }
        string? missing = await Missing(kind);
        Assert.SkipWhen(missing is not null, missing ?? "");
        await _turn.WaitAsync(Service.Cancellation);
        try
        {
            string name = $"test{++_count}";
            await using var connection = new NpgsqlConnection(Connection("postgres"));
            await connection.OpenAsync(Service.Cancellation);
            await using NpgsqlCommand create = connection.CreateCommand();
            create.CommandText = $"CREATE DATABASE {name}";
            await create.ExecuteNonQueryAsync(Service.Cancellation);
            return new() { ["Storage:Database"] = "postgres", ["ConnectionStrings:Postgres"] = Connection(name) };
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>The database that a service was given.</summary>
    public static CaptionDb Open(Dictionary<string, string> settings, string storage)
    {
        var options = new DbContextOptionsBuilder<CaptionDb>();
        _ = settings.TryGetValue("ConnectionStrings:Postgres", out string? postgres)
            ? options.UseNpgsql(postgres)
            : options.UseSqlite($"Data Source={Path.Combine(storage, "captionservice.db")};Pooling=False");
        return new CaptionDb(options.Options, new DataFolder(Options.Create(new StorageOptions { Folder = storage }), NullLogger<DataFolder>.Instance));
    }

    private string Connection(string database) => $"Host=127.0.0.1;Port={_port};Username=test;Database={database};Maximum Pool Size=10";

    private async Task Start()
    {
        string? programs = Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql").Select(v => Path.Combine(v, "bin")).LastOrDefault(b => File.Exists(Path.Combine(b, "initdb")))
            : null;
        if (programs is null)
        {
            _why = "PostgreSQL is not installed here (apt-get install postgresql).";
            return;
        }
        // The server refuses to run as root: then as the user that the package made.
        string[] user = Environment.UserName == "root" ? ["runuser", "-u", "postgres", "--"] : [];
        _folder = Directory.CreateTempSubdirectory("captionservice-postgres-").FullName;
        if (user.Length > 0 && await Run("chown", "postgres", _folder) is { } refused)
        {
            _why = "There is no user 'postgres' to run PostgreSQL as: " + refused;
            return;
        }
        if (await Run([.. user, Path.Combine(programs, "initdb"), "-D", _folder, "-U", "test", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]) is { } failed)
        {
            _why = "initdb failed: " + failed;
            return;
        }
        using (var free = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0))
        {
            free.Start();
            _port = ((System.Net.IPEndPoint)free.LocalEndpoint).Port;
        }
        string[] command = [.. user, Path.Combine(programs, "postgres"), "-D", _folder, "-p", $"{_port}", "-k", _folder, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=16MB"];
        _server = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardError = true, RedirectStandardOutput = true, WorkingDirectory = "/" })!;
        _server.BeginErrorReadLine();
        _server.BeginOutputReadLine();
        while (true)
        {
            try
            {
                await using var connection = new NpgsqlConnection(Connection("postgres") + ";Pooling=False");
                await connection.OpenAsync(Service.Cancellation);
                return;
            }
            catch (NpgsqlException) when (!_server.HasExited)
            {
                await Task.Delay(100, Service.Cancellation);
            }
        }
    }

    private static async Task<string?> Run(params string[] command)
    {
        using var process = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardError = true, RedirectStandardOutput = true, WorkingDirectory = "/" })!;
        Task<string> said = process.StandardError.ReadToEndAsync(Service.Cancellation);
        await process.StandardOutput.ReadToEndAsync(Service.Cancellation);
        await process.WaitForExitAsync(Service.Cancellation);
        return process.ExitCode == 0 ? null : await said;
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null)
        {
            NpgsqlConnection.ClearAllPools();
            if (!_server.HasExited)
            {
                _server.Kill(entireProcessTree: true);
                await _server.WaitForExitAsync();
            }
            _server.Dispose();
        }
        if (_folder is not null)
        {
            Directory.Delete(_folder, recursive: true);
        }
        _turn.Dispose();
    }
}
