using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Metadata;
using Microsoft.EntityFrameworkCore.Storage;
using Microsoft.Extensions.Options;
using Npgsql;

namespace CaptionService.Api.Storage;

/// <summary>The service cannot start with the storage it was given; the message says why.</summary>
public sealed class StorageException(string message, Exception inner) : Exception(message, inner);

/// <summary>Registers the data folder and the database, and opens them at start.</summary>
public static partial class StorageApi
{
    /// <summary>Registers the database; the folder is made and the schema brought up to date before anything else starts.</summary>
    public static IServiceCollection AddStorage(this IServiceCollection services)
    {
        services.AddOptions<StorageOptions>().BindConfiguration(StorageOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton<DataFolder>();
        services.AddHealthChecks().AddCheck<DatabaseCheck>("database").AddCheck<DiskCheck>("disk").AddCheck<JobsCheck>("jobs");
        services.AddDbContextFactory<CaptionDb>((provider, db) =>
            Configure(db.AddInterceptors(provider.GetServices<IInterceptor>()), provider.GetRequiredService<IOptions<StorageOptions>>().Value, provider.GetRequiredService<IConfiguration>()));
        return services.AddHostedService<Opening>();
    }

    /// <summary>A connection to PostgreSQL outside the pool, which keeps until it is closed what a command gave it: a lock, or what it
    /// listens to.</summary>
    internal static async Task<NpgsqlConnection> OpenConnection(IConfiguration configuration, string command, CancellationToken cancellation)
    {
        var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(configuration.GetConnectionString(StorageOptions.PostgresConnection)) { Pooling = false }.ToString());
        try
        {
            await connection.OpenAsync(cancellation);
            await using NpgsqlCommand first = connection.CreateCommand();
            first.CommandText = command;
            await first.ExecuteNonQueryAsync(cancellation);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private static void Configure(DbContextOptionsBuilder db, StorageOptions storage, IConfiguration configuration)
    {
        int seconds = (int)storage.DatabaseTimeout.TotalSeconds;
        if (storage.Database == "postgres")
        {
            db.UseNpgsql(configuration.GetConnectionString(StorageOptions.PostgresConnection), npgsql => npgsql.CommandTimeout(seconds));
        }
        else
        {
            // A statement that finds the database locked is tried again until the timeout.
            db.UseSqlite(new SqliteConnectionStringBuilder { DataSource = storage.DatabaseFile, DefaultTimeout = seconds }.ToString());
        }
    }

    /// <summary>Runs before every other service: those may count on the tables.</summary>
    private sealed partial class Opening(IOptions<StorageOptions> options, DataFolder held, IConfiguration configuration, IDbContextFactory<CaptionDb> databases, ILogger<Opening> logger)
        : IHostedLifecycleService
    {
        public async Task StartingAsync(CancellationToken cancellationToken)
        {
            StorageOptions storage = options.Value;
            try
            {
                Directory.CreateDirectory(storage.Folder);
                // Where another server works in the folder, its uploads are under way.
                if (held.TryHold() && Directory.Exists(storage.Temporary))
                    Directory.Delete(storage.Temporary, recursive: true);
                foreach (string folder in (string[])[storage.Datasets, storage.Jobs, storage.CaptionJobs, storage.Models, storage.Features, storage.Temporary])
                    Directory.CreateDirectory(folder);
                if (storage.Database == "postgres" && string.IsNullOrEmpty(configuration.GetConnectionString(StorageOptions.PostgresConnection)))
                    throw new InvalidOperationException($"Storage:Database is postgres, but ConnectionStrings:{StorageOptions.PostgresConnection} is empty.");
                await using CaptionDb db = await databases.CreateDbContextAsync(cancellationToken);
                if (db.Database.IsSqlite())
                {
                    // Readers and the writer do not wait for each other. The setting stays in the file.
                    await db.Database.ExecuteSqlRawAsync("PRAGMA journal_mode = WAL", cancellationToken);
                }
                await using IAsyncDisposable? turn = await Turn(db, cancellationToken);
                await db.Database.MigrateAsync(cancellationToken);
                foreach (IEntityType rows in db.Model.GetEntityTypes().Where(type => type.FindProperty(CaptionDb.StorageColumn) is not null))
                {
                    // Rows from before there were several folders are of the folder that finds them.
                    string adopt = $"UPDATE \"{rows.GetTableName()}\" SET \"{CaptionDb.StorageColumn}\" = {{0}} WHERE \"{CaptionDb.StorageColumn}\" = ''";
                    await db.Database.ExecuteSqlRawAsync(adopt, [held.Id], cancellationToken);
                }
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                string why = StorageProblems.Of(failure) is { } kind ? $"{kind.Title}: {StorageProblems.Innermost(failure).Message}" : StorageProblems.Innermost(failure).Message;
                Log.CannotOpen(logger, storage.Folder, storage.Database, why);
                throw new StorageException(why, failure);
            }
        }

        // Servers that start at once bring the schema up to date one after the other: Entity Framework's own lock is of one migration only.
        private async Task<IAsyncDisposable?> Turn(CaptionDb db, CancellationToken cancellation)
        {
            if (!db.Database.IsNpgsql())
                return null;
            var database = db.GetService<IRelationalDatabaseCreator>();
            try
            {
                if (!await database.ExistsAsync(cancellation))
                    await database.CreateAsync(cancellation);
            }
            catch (PostgresException made) when (made.SqlState is PostgresErrorCodes.DuplicateDatabase or PostgresErrorCodes.UniqueViolation)
            {
                // Another server was faster.
            }
            return await OpenConnection(configuration, "SELECT pg_advisory_lock(hashtext('CaptionService schema'))", cancellation);
        }

        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        private static partial class Log
        {
            [LoggerMessage(1, LogLevel.Critical, "The storage in {Folder} ({Database}) cannot be used. {Why}")]
            public static partial void CannotOpen(ILogger logger, string folder, string database, string why);
        }
    }
}
