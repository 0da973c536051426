using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.ChangeTracking;
using Microsoft.EntityFrameworkCore.Metadata.Builders;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;
using Microsoft.EntityFrameworkCore.ValueGeneration;

namespace CaptionService.Api.Storage;

/// <summary>
/// Data sets, jobs, models. One schema for SQLite and PostgreSQL: texts, numbers and truth values only. Servers with data
/// folders of their own may share a database: each row is of a folder, and every query sees only its own folder's.
/// </summary>
public sealed class CaptionDb(DbContextOptions<CaptionDb> options, DataFolder folder) : DbContext(options)
{
    /// <summary>The column that says whose a row is.</summary>
    internal const string StorageColumn = "Storage";

    private string Storage => folder.Id;

    /// <summary>Data sets.</summary>
    public DbSet<Dataset> Datasets => Set<Dataset>();

    /// <summary>Training jobs.</summary>
    public DbSet<TrainingJob> TrainingJobs => Set<TrainingJob>();

    /// <summary>Their events.</summary>
    public DbSet<TrainingJobEvent> TrainingJobEvents => Set<TrainingJobEvent>();

    /// <summary>Keys of requests that made jobs.</summary>
    public DbSet<IdempotencyKey> IdempotencyKeys => Set<IdempotencyKey>();

    /// <summary>The registry of models.</summary>
    public DbSet<ModelVersion> ModelVersions => Set<ModelVersion>();

    /// <summary>How often the registry was changed: one row.</summary>
    public DbSet<RegistryGeneration> RegistryGenerations => Set<RegistryGeneration>();

    /// <summary>Servers that run.</summary>
    public DbSet<Replica> Replicas => Set<Replica>();

    /// <summary>Evaluations and comparisons.</summary>
    public DbSet<Evaluation> Evaluations => Set<Evaluation>();

    /// <summary>Jobs that caption many photos.</summary>
    public DbSet<CaptionJob> CaptionJobs => Set<CaptionJob>();

    /// <summary>What addresses are to be told.</summary>
    public DbSet<WebhookMessage> WebhookMessages => Set<WebhookMessage>();

    /// <summary>Keys of callers.</summary>
    public DbSet<ApiKey> ApiKeys => Set<ApiKey>();

    /// <summary>What was changed, by whom.</summary>
    public DbSet<AuditEntry> AuditEntries => Set<AuditEntry>();

    /// <summary>Corrected captions.</summary>
    public DbSet<FeedbackEntry> Feedback => Set<FeedbackEntry>();

    /// <inheritdoc />
    protected override void ConfigureConventions(ModelConfigurationBuilder configurationBuilder) =>
        configurationBuilder.Properties<DateTimeOffset>().HaveConversion<UtcTicks>();

    /// <inheritdoc />
    protected override void OnModelCreating(ModelBuilder modelBuilder)
    {
        Own<Dataset>(modelBuilder, dataset => dataset.Property(d => d.Status).HasConversion(new SmallLetters<DatasetStatus>()));
        Own<ApiKey>(modelBuilder, key => key.Property(k => k.Scope).HasConversion(new SmallLetters<Scope>()));
        Own<AuditEntry>(modelBuilder, entry => entry.HasIndex(e => e.At));
        Own<FeedbackEntry>(modelBuilder, entry => entry.HasIndex(e => e.Photo));
        Own<Evaluation>(modelBuilder, evaluation => evaluation.Property(e => e.State).HasConversion(new SmallLetters<EvaluationState>()));
        Own<TrainingJob>(modelBuilder, job =>
        {
            job.Property(j => j.State).HasConversion<string>();
            job.Property(j => j.Revision).IsConcurrencyToken();
            job.HasIndex(j => new { j.State, j.CreatedAt });
        });
        Own<CaptionJob>(modelBuilder, job =>
        {
            job.Property(j => j.State).HasConversion(new SmallLetters<JobState>());
            job.Property(j => j.Revision).IsConcurrencyToken();
            job.HasIndex(j => new { j.State, j.CreatedAt });
        });
        modelBuilder.Entity<TrainingJobEvent>(e =>
        {
            e.HasKey(x => new { x.JobId, x.Number });
            e.Property(x => x.Number).ValueGeneratedNever();
        });
        Own<WebhookMessage>(modelBuilder, message => message.HasIndex(m => m.NextAt));
        Own<IdempotencyKey>(modelBuilder, key => key.HasKey(StorageColumn, nameof(IdempotencyKey.Key)));
        Own<RegistryGeneration>(modelBuilder, generation => generation.HasKey(StorageColumn));
        Own<Replica>(modelBuilder);
        Own<ModelVersion>(modelBuilder, version =>
        {
            version.HasKey(StorageColumn, nameof(ModelVersion.Name), nameof(ModelVersion.Version));
            version.Property(v => v.Version).ValueGeneratedNever();
        });
    }

    /// <summary>Saves changes of rows that count their revisions.</summary>
    /// <returns>false: somebody else changed one in between. The changes are forgotten: read again.</returns>
    internal async Task<bool> TrySave(CancellationToken cancellation)
    {
        try
        {
            await SaveChangesAsync(cancellation);
            return true;
        }
        catch (DbUpdateConcurrencyException)
        {
            ChangeTracker.Clear();
            return false;
        }
    }

    // A job's events need no mark of their own: who finds the job finds them.
    private void Own<T>(ModelBuilder modelBuilder, Action<EntityTypeBuilder<T>>? more = null) where T : class
    {
        EntityTypeBuilder<T> entity = modelBuilder.Entity<T>();
        entity.Property<string>(StorageColumn).IsRequired().HasValueGenerator<OfThisFolder>().ValueGeneratedOnAdd();
        entity.HasQueryFilter(row => EF.Property<string>(row, StorageColumn) == Storage);
        more?.Invoke(entity);
    }

    private sealed class OfThisFolder : ValueGenerator<string>
    {
        public override bool GeneratesTemporaryValues => false;

        public override string Next(EntityEntry entry) => ((CaptionDb)entry.Context).Storage;
    }

    private sealed class SmallLetters<T>() : ValueConverter<T, string>(state => state.Name(), name => Enum.Parse<T>(name, true)) where T : struct, Enum;

    // Ticks sort and compare alike in both databases; SQLite has no type for points in time.
    private sealed class UtcTicks() : ValueConverter<DateTimeOffset, long>(time => time.UtcTicks, ticks => new DateTimeOffset(ticks, TimeSpan.Zero));
}
