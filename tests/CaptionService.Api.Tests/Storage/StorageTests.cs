using System.Diagnostics;
using CaptionService.Api.Storage;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace CaptionService.Api.Tests.Storage;

/// <summary>The database at start, and when it fails.</summary>
public sealed class StorageTests(Databases databases) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("captionservice-").FullName;

    [Fact]
    public async Task First_start_makes_the_folder_and_the_schema_of_the_model()
    {
        await using var factory = new ServiceFactory(ServiceFactory.WithoutModels);
        await factory.Start(ready: false);
        await using CaptionDb db = await factory.Services.GetRequiredService<IDbContextFactory<CaptionDb>>().CreateDbContextAsync(Service.Cancellation);
        Assert.False(db.Database.HasPendingModelChanges());
        Assert.Equal("wal", await db.Database.SqlQueryRaw<string>("SELECT journal_mode AS Value FROM pragma_journal_mode").SingleAsync(Service.Cancellation));
        Assert.Empty(await db.TrainingJobs.ToListAsync(Service.Cancellation));
        Assert.True(Directory.Exists(Path.Combine(factory.Storage, "jobs")));
    }

    [Theory]
    [MemberData(nameof(Databases.Kinds), MemberType = typeof(Databases))]
    public async Task What_was_there_before_rows_were_of_a_folder_is_the_folders_that_finds_it(string kind)
    {
        Dictionary<string, string> database = await databases.Fresh(kind);
        await using var factory = new ServiceFactory(host =>
        {
            ServiceFactory.WithoutModels(host);
            foreach ((string name, string value) in database)
            {
                host.UseSetting(name, value);
            }
        });
        await using (CaptionDb old = Databases.Open(database, factory.Storage))
        {
            await old.Database.MigrateAsync("InitialCreate", Service.Cancellation);
            await old.Database.ExecuteSqlRawAsync("""
                INSERT INTO "Datasets" ("Id", "Name", "Language", "Status", "CreatedAt", "Photos", "Captions", "TrainPhotos", "DevPhotos", "Bytes") VALUES ('abcdefghijkl', 'old', 'en', 'ready', 1, 2, 3, 1, 1, 4);
                INSERT INTO "IdempotencyKeys" ("Key", "BodyDigest", "CreatedAt") VALUES ('key', 'digest', 1);
                """, Service.Cancellation);
        }

        using HttpClient client = await factory.Start(ready: false);

        Assert.Equal("old", (string?)(await Answer.Get(client, "/datasets/abcdefghijkl")).Body["name"]);
        await using CaptionDb db = Databases.Open(database, factory.Storage);
        Assert.Equal("key", Assert.Single(await db.IdempotencyKeys.ToListAsync(Service.Cancellation)).Key);
        await using CaptionDb other = Databases.Open(database, Path.Combine(_folder, "other"));
        if (kind == "postgres")
        {
            Assert.Empty(await other.Datasets.ToListAsync(Service.Cancellation));
            Assert.Empty(await other.IdempotencyKeys.ToListAsync(Service.Cancellation));
        }
    }

    [Fact]
    public async Task Damaged_database_is_named_at_start()
    {
        await File.WriteAllTextAsync(DatabaseFile, string.Concat(Enumerable.Repeat("no database ", 1000)), Service.Cancellation);
        await StartFails("The database file is damaged");
    }

    [Fact]
    public async Task Locked_database_is_named_at_start()
    {
        await using var other = new SqliteConnection($"Data Source={DatabaseFile};Pooling=False");
        await other.OpenAsync(Service.Cancellation);
        await using SqliteCommand begin = other.CreateCommand();
        begin.CommandText = "CREATE TABLE t (x); BEGIN EXCLUSIVE";
        await begin.ExecuteNonQueryAsync(Service.Cancellation);
        await StartFails("The database is locked by another program", "--Storage:DatabaseTimeout=00:00:01");
    }

    [Fact]
    public Task PostgreSQL_without_a_connection_string_is_named_at_start() =>
        StartFails("ConnectionStrings:Postgres is empty", "--Storage:Database=postgres");

    [Fact]
    public Task PostgreSQL_that_does_not_answer_is_named_at_start() =>
        StartFails("The database cannot be reached", "--Storage:Database=postgres", "--ConnectionStrings:Postgres=Host=127.0.0.1;Port=1;Database=none");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string DatabaseFile => Path.Combine(_folder, "captionservice.db");

    // The program as it is started by people: what counts is what it says, and that it leaves.
    private async Task StartFails(string why, params string[] settings)
    {
        using var program = Process.Start(new ProcessStartInfo("dotnet",
            [Path.Combine(AppContext.BaseDirectory, "CaptionService.Api.dll"), "--Storage:Folder=" + _folder, "--urls=http://127.0.0.1:0", .. settings])
        { RedirectStandardOutput = true })!;
        string said = await program.StandardOutput.ReadToEndAsync(Service.Cancellation);
        await program.WaitForExitAsync(Service.Cancellation);
        Assert.Contains(why, said, StringComparison.Ordinal);
        Assert.Equal(1, program.ExitCode);
    }
}
