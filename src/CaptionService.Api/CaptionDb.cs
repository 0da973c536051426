using CaptionService.Api.Datasets;
using CaptionService.Api.Models;
using CaptionService.Api.TrainingJobs;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;

namespace CaptionService.Api;

/// <summary>Data sets, jobs, models. One schema for SQLite and PostgreSQL: texts, numbers and truth values only.</summary>
public sealed class CaptionDb(DbContextOptions<CaptionDb> options) : DbContext(options)
{
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

    /// <summary>Evaluations and comparisons.</summary>
    public DbSet<Evaluation> Evaluations => Set<Evaluation>();

    /// <inheritdoc />
    protected override void ConfigureConventions(ModelConfigurationBuilder configurationBuilder) =>
        configurationBuilder.Properties<DateTimeOffset>().HaveConversion<UtcTicks>();

    /// <inheritdoc />
    protected override void OnModelCreating(ModelBuilder modelBuilder)
    {
        modelBuilder.Entity<TrainingJob>(job =>
        {
            job.Property(j => j.State).HasConversion<string>();
            job.Property(j => j.Revision).IsConcurrencyToken();
            job.HasIndex(j => new { j.State, j.CreatedAt });
        });
        modelBuilder.Entity<TrainingJobEvent>(e =>
        {
            e.HasKey(x => new { x.JobId, x.Number });
            e.Property(x => x.Number).ValueGeneratedNever();
        });
        modelBuilder.Entity<IdempotencyKey>().HasKey(k => k.Key);
        modelBuilder.Entity<ModelVersion>(version =>
        {
            version.HasKey(v => new { v.Name, v.Version });
            version.Property(v => v.Version).ValueGeneratedNever();
        });
    }

    // Ticks sort and compare alike in both databases; SQLite has no type for points in time.
    private sealed class UtcTicks() : ValueConverter<DateTimeOffset, long>(time => time.UtcTicks, ticks => new DateTimeOffset(ticks, TimeSpan.Zero));
}
