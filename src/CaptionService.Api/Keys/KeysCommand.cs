using System.Globalization;
using CaptionService.Api.Storage;
using Microsoft.EntityFrameworkCore;

namespace CaptionService.Api.Keys;

/// <summary>Keys from the command line, over the database that the settings name, also while the server runs.</summary>
public static class KeysCommand
{
    private const string Usage = """
        keys create NAME --scope caption|train|admin [--days N]    makes a key and writes it to standard output, the only place where it is ever shown
        keys list                                                   the keys, the newest first
        keys revoke ID                                              ends a key; a running server notices within 5 seconds
        Each takes settings as the server does (--Storage:Folder=DIR, Storage__Folder).
        """;

    /// <summary>Runs the program with the arguments after <c>keys</c>.</summary>
    /// <returns>The exit code: 0 done, 1 the database cannot be used, 2 wrong arguments.</returns>
    public static async Task<int> Run(string[] args)
    {
        ArgumentNullException.ThrowIfNull(args);
        try
        {
            HostApplicationBuilder builder = Host.CreateApplicationBuilder(args);
            builder.Logging.ClearProviders();
            builder.Services.AddStorage();
            using IHost host = builder.Build();
            await host.StartAsync();        // opens the database
            await using CaptionDb db = await host.Services.GetRequiredService<IDbContextFactory<CaptionDb>>().CreateDbContextAsync();
            DateTimeOffset now = TimeProvider.System.GetUtcNow();
            switch (args)
            {
                case ["create", var name, ..] when !name.StartsWith('-'):
                    string? days = Option(args, "--days");
                    (ApiKey made, string text) = new NewKey(name, Option(args, "--scope"),
                        days is null ? null : int.TryParse(days, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0).Make(now);
                    db.ApiKeys.Add(made);
                    db.AuditEntries.Add(Line("PostKey", made.Id, now));
                    await db.SaveChangesAsync();
                    await Console.Error.WriteLineAsync($"The key '{made.Name}' ({made.Scope.Name()}), id {made.Id}. It is not shown again:");
                    Console.WriteLine(text);
                    return 0;
                case ["list", ..]:
                    foreach (ApiKey key in await db.ApiKeys.AsNoTracking().OrderByDescending(key => key.CreatedAt).ToListAsync())
                    {
                        string state = key.RevokedAt is not null ? "revoked" : key.IsValid(now) ? "valid" : "expired";
                        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{key.Id}  {key.Scope.Name(),-7}  {state,-7}  made {key.CreatedAt:yyyy-MM-dd}  last used {key.LastUsedAt,-10:yyyy-MM-dd}  {key.Name}"));
                    }
                    return 0;
                case ["revoke", var id, ..]:
                    await KeysApi.Revoke(db, id, now, CancellationToken.None);
                    db.AuditEntries.Add(Line("DeleteKey", id, now));
                    await db.SaveChangesAsync();
                    return 0;
                default:
                    await Console.Error.WriteLineAsync(Usage);
                    return 2;
            }
        }
        catch (ProblemException wrong)
        {
            await Console.Error.WriteLineAsync($"{wrong.Message}\n{Usage}");
            return 2;
        }
        catch (StorageException failure)
        {
            await Console.Error.WriteLineAsync(failure.Message);
            return 1;
        }
    }

    private static AuditEntry Line(string action, string key, DateTimeOffset now) => new() { Id = Ids.New(), At = now, Action = action, Target = $"/keys/{key}", Who = "command line" };

    // --name value or --name=value
    private static string? Option(string[] args, string name)
    {
        int at = Array.FindLastIndex(args, arg => arg == name || arg.StartsWith(name + "=", StringComparison.Ordinal));
        return at < 0 ? null : args[at].Length > name.Length ? args[at][(name.Length + 1)..] : at + 1 < args.Length ? args[at + 1] : "";
    }
}
