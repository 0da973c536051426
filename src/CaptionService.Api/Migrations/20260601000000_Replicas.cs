using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace CaptionService.Api.Migrations
{
    /// <inheritdoc />
    public partial class Replicas : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "RegistryGenerations",
                columns: table => new
                {
                    Storage = table.Column<string>(nullable: false),
                    Number = table.Column<long>(nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_RegistryGenerations", x => x.Storage);
                });

            migrationBuilder.CreateTable(
                name: "Replicas",
                columns: table => new
                {
                    Id = table.Column<string>(nullable: false),
                    Name = table.Column<string>(nullable: false),
                    Generation = table.Column<long>(nullable: false),
                    Problem = table.Column<string>(nullable: true),
                    SeenAt = table.Column<long>(nullable: false),
                    Storage = table.Column<string>(nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_Replicas", x => x.Id);
                });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "RegistryGenerations");

            migrationBuilder.DropTable(
                name: "Replicas");
        }
    }
}
